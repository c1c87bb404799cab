/* The objective of a loss over batches that the caller brings, one a step, for the caller's own
 * loops: the loss of a batch is its weighted mean, sum(w l) / sum(w). */
#ifndef CF_TRAIN_BATCHES_H
#define CF_TRAIN_BATCHES_H

#include "flow/flow.h"
#include "train/data.h"
#include "train/loop.h"

typedef struct cf_batches cf_batches;

/* `flow` is NULL for another model's loss; `pairs` are of its coupling (train/coupling.h), or NULL.
 * `steps`: in all, for schedules; 0: not known. */
cf_status cf_batches_new(cf_batches **out, cf_model *model, cf_flow *flow, const cf_function *loss,
                         const cf_function *pairs, uint64_t steps, uint64_t seed, int threads);
void cf_batches_free(cf_batches *batches); /* NULL is accepted */

const cf_function *cf_batches_loss(const cf_batches *batches);
cf_objective cf_batches_objective(cf_batches *batches);

/* Sets the rows of the next step, which must stay as they are until it is done. CF_INVALID if there
 * is none, or a weight is negative or not finite, or all are 0. The first batch standardises and
 * initialises a flow that no data have set yet. */
cf_status cf_batches_set(cf_batches *batches, const cf_data *data);

#endif
