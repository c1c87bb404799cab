/* Couplings: which points of the base go with the rows of a minibatch.
 *
 * Points drawn independently of the rows are assigned to them such that the sum of squared
 * distances is the least, an exact optimal transport between the two samples (Pooladian et al.
 * 2023; Tong et al. 2024). Only rows of equal context exchange their points: others would learn
 * another distribution than the one given the context.
 */
#ifndef CF_TRAIN_COUPLING_H
#define CF_TRAIN_COUPLING_H

#include "model/model.h"
#include "train/data.h"

typedef struct cf_coupling cf_coupling;

/* `pairs` is a function x [context] [jitter] -> z, u, both of as many features: rows behind what
 * does not change and independent points. `rows`: in a batch, at most. */
cf_status cf_coupling_new(cf_coupling **out, cf_model *model, const cf_function *pairs,
                          size_t rows);
void cf_coupling_free(cf_coupling *coupling); /* NULL is accepted */

/* Sets the input u of a call of a loss to the points that are coupled with its other inputs, by the
 * call's own random numbers. They are the coupling's, until the next call. */
cf_status cf_couple(cf_coupling *coupling, cf_function_call *call);

/* CF_INVALID if rows differ in their weight, which points have not, or, with context features, no
 * two of them have one context. */
cf_status cf_coupling_check(const cf_data *data, size_t context_features);

#endif
