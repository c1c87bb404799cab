/* Which inputs the units of a masked network may depend on, where that is more than an order.
 *
 * Every unit has a set of inputs: an input has itself, an output those that it is allowed, and the
 * hidden units have sets of the outputs. A unit reads those of the layer before whose set lies
 * within its own, so that it depends on its set and nothing else, however many layers there are. */
#ifndef CF_NN_DEPENDENCE_H
#define CF_NN_DEPENDENCE_H

#include "base/arena.h"

typedef struct {
    size_t groups;                 /* sets 0, 1, …: of the groups of outputs */
    size_t inputs;                 /* the sets after them: one input each */
    size_t distinct;               /* of the groups' sets that are not empty */
    const uint32_t *level;         /* by group: the first group for which all of its set is known */
    const unsigned char *includes; /* [sets, sets]: whether the first holds all of the second */
} cf_dependence;

/* `reads` [groups, inputs], whether a group may depend on an input, is copied. The first inputs,
 * groups - 1 fewer than there are, are known to group 0, then one more to each group. */
cf_status cf_dependence_new(const cf_dependence **out, cf_arena *arena, size_t groups,
                            size_t inputs, const unsigned char *reads);

static inline bool cf_dependence_includes(const cf_dependence *d, size_t a, size_t b) {
    return d->includes[a * (d->groups + d->inputs) + b] != 0;
}

/* Whether the set of group g is that of no group before it, nor empty. */
bool cf_dependence_is_first(const cf_dependence *d, size_t g);

/* *out = the mask [outputs, inputs] of units of those sets. */
cf_status cf_dependence_mask(const unsigned char **out, cf_arena *arena, const cf_dependence *d,
                             const uint32_t *output_set, size_t outputs, const uint32_t *input_set,
                             size_t inputs);

#endif
