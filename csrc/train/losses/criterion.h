/* Criteria: losses with options.
 *
 * A criterion is a spec of the role "criterion", which `fit` takes as its loss. Its type is in a
 * file of its own, with the methods below, and in train/type_list.h.
 */
#ifndef CF_TRAIN_LOSSES_CRITERION_H
#define CF_TRAIN_LOSSES_CRITERION_H

#include "base/arena.h"
#include "flow/flow.h"

typedef struct {
    cf_status (*check)(const cf_flow *flow); /* fails unless the flow has it; NULL: all have */
    /* Adds the loss of that name to the flow's model; `arena`, in which the name lives, passes to
     * the model. */
    cf_status (*add)(const cf_flow *flow, const cf_spec *spec, const char *name, cf_arena *arena);
    /* The function whose points the trainer couples with the rows (train/coupling.h), added when
     * first asked for; *out stays NULL if there is none. NULL: there never is. */
    cf_status (*pairs)(const cf_flow *flow, const cf_spec *spec, const cf_function **out);
} cf_criterion_methods;

/* Adds, as `add` above, a loss with the inputs of log_prob and, as the last, u, points of the base.
 * Its name, its emit and its self are given; of self, `size` bytes, it gets a copy. */
enum { CF_CRITERION_X, CF_CRITERION_CONTEXT, CF_CRITERION_JITTER, CF_CRITERION_U };
cf_status cf_add_criterion(const cf_flow *flow, const cf_function *given, size_t size,
                           bool u_is_optional, cf_arena *arena);

/* The loss of a flow that the spec describes, added when first asked for, and *pairs = the function
 * whose points are coupled with the rows, or NULL. CF_TYPE if it is of another role. */
cf_status cf_find_criterion(const cf_flow *flow, const cf_spec *spec, const cf_function **loss,
                            const cf_function **pairs);

#endif
