/* One dense layer, W x + bias, and the activations that stand between two.
 *
 * Units come in groups, in order: an output of group g reads the inputs of the groups up to g. A
 * plain network is one group. The masked network of an autoregressive layer has one a feature (MADE
 * with the hidden units sorted by degree: Germain et al. 2015, arXiv:1502.03509), which can be
 * emitted all at once or one after the other. Of its units, some may be kept from reading others
 * (nn/dependence.h).
 */
#ifndef CF_NN_DENSE_H
#define CF_NN_DENSE_H

#include "engine/program.h"
#include "model/binding.h"
#include "nn/dependence.h"
#include "simd/matmul.h"

/* Weights start uniform on +-gain / sqrt(inputs). Tried on the tables of benchmarks/density.py:
 * with 1, as the frameworks have it, flows that start as the identity learn more slowly; sqrt(3),
 * which keeps the variance of what passes through, overfits small tables sooner. */
#define CF_WEIGHT_GAIN 1.5

typedef struct {
    size_t count;
    const uint32_t *end; /* of `count` groups: units before end[g] are of the groups up to g */
    const uint32_t *set; /* by unit, its set of `dependence`; NULL: it reads all up to its group */
    const cf_dependence *dependence;
} cf_groups;

/* Units spread evenly over the groups from `first` on, that one and the last among them if there
 * are two units; a single unit is of the last. */
cf_status cf_groups_spread(cf_groups *out, cf_arena *arena, size_t groups, size_t first,
                           size_t units);

/* Units spread evenly over the groups' sets that are not empty: each has one at least, if there are
 * enough. They are of the first group for which all of their set is known. */
cf_status cf_groups_spread_sets(cf_groups *out, cf_arena *arena, const cf_dependence *dependence,
                                size_t units);

/* `first` units of group 0 and `each` of every other. */
cf_status cf_groups_each(cf_groups *out, cf_arena *arena, size_t groups, size_t first, size_t each);

static inline size_t cf_groups_units(cf_groups groups) {
    return groups.end[groups.count - 1];
}

typedef struct {
    size_t number; /* of the dense layers of a network */
    size_t weight, bias;
    cf_groups inputs, outputs;
    const cf_block_mask *mask;    /* NULL if group 0 reads all */
    const unsigned char *allowed; /* [outputs, inputs], within it; NULL: all */
} cf_dense;

/* What is emitted of a network: groups [first, end), one or all. */
typedef struct {
    size_t first, end;
    cf_value *seen; /* by dense layer: its inputs so far, at first CF_NO_VALUE */
} cf_emission;

/* Declares `name`.weight [outputs, inputs] and `name`.bias [outputs]; number < 0: none in the name.
 * The weights start uniform on +-1.5/sqrt(inputs), the bias on +-1/sqrt(inputs), or both at zero;
 * weights outside the mask start at 0 and have gradient 0. *dense_layers counts. */
cf_status cf_dense_bind(cf_dense *out, cf_binding *binding, const char *name, long number,
                        cf_groups inputs, cf_groups outputs, bool zero, size_t *dense_layers);

/* The outputs of the emission's groups; x are the inputs of the same, as context CF_NO_VALUE if
 * there are none. CF_NO_VALUE if there is no output. */
cf_value cf_dense_emit(const cf_dense *dense, cf_builder *b, cf_emission *emission, cf_value x);

/* A line of a network's table of options, and its check. */
#define CF_DROPOUT_OPTION                                                                          \
    {                                                                                              \
        .name = "dropout", .kinds = CF_OPTION_REAL, .default_value = CF_DEFAULT_REAL(0.0),         \
        .doc = "The probability with which, in training alone, an activation is replaced by 0 "    \
               "(the others are divided by its complement)."                                       \
    }
cf_status cf_dropout_check(const cf_spec *network);

/* The names that options called "activation" take, ending in NULL. */
extern const char *const cf_activation_names[];

/* The activation of that name; CF_NO_VALUE if x is. */
cf_value cf_activation(cf_builder *b, const char *name, cf_value x);

#endif
