/* Parameters that are learned or, in a flow with context, the outputs of a network that reads it:
 * amortised, as in variational autoencoders. */
#ifndef CF_LAYERS_AMORTIZED_H
#define CF_LAYERS_AMORTIZED_H

#include "layers/conditioned.h"

enum { CF_MAX_PARTS = 6 };

/* One of the layer's parameters: a vector or, with columns, a matrix. */
typedef struct {
    const char *name;
    size_t rows, columns; /* columns 0: a vector */
} cf_part;

typedef struct {
    size_t count;
    size_t offset[CF_MAX_PARTS], size[CF_MAX_PARTS]; /* offset: in the slab, or in the outputs */
    bool by_network;
    cf_conditioner conditioner;
} cf_amortized;

/* Declares the parameters, which start at `start`, the numbers of one after the other. In a flow
 * with context a network of that many outputs takes their place, and starts there for every
 * context. */
cf_status cf_amortized_bind(cf_amortized *out, const cf_layer *layer, cf_binding *binding,
                            const cf_part *part, size_t count, const double *start);

/* How many numbers they have; false if too many. */
bool cf_parts_size(const cf_part *part, size_t count, size_t *size);

/* part[i] = parameter i, unbatched where it is learned. */
void cf_amortized_emit(const cf_amortized *given, cf_builder *b, cf_value context, cf_value *part);

/* `count` numbers uniform on [-bound, bound), to start at; another `row` gives others. */
void cf_random_start(double *out, size_t count, double bound, const cf_binding *binding,
                     uint64_t row);

/* The inner product of a parameter, or another vector, and x. */
cf_value cf_dot(cf_builder *b, cf_value vector, cf_value x);

/* The length of x, however large or small it is; the gradient at 0 is 0. */
cf_value cf_length(cf_builder *b, cf_value x);

/* Lines of a layer's table of options. */
#define CF_AMORTIZED_OPTIONS                                                                       \
    {.name = "conditioner",                                                                        \
     .kinds = CF_OPTION_SPEC | CF_OPTIONAL,                                                        \
     .default_value = CF_DEFAULT_NONE,                                                             \
     .spec_role = "conditioner",                                                                   \
     .doc = "The network that gives the parameters in a flow with context, which it reads. None "  \
            "is ``MLP(hidden, activation)``."},                                                    \
        CF_MLP_OPTIONS

#endif
