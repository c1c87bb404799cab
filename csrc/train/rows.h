/* The objective of a loss over rows of data: shuffled minibatches of those of a positive weight,
 * and the mean over held-out rows.
 *
 * A loss is a function of a model with inputs x and, if it has one, context, and one output, loss:
 * a number a sample. The loss of a batch of B rows is sum(w l) / (B mean w), the mean of the
 * weights w being over all training rows.
 */
#ifndef CF_TRAIN_ROWS_H
#define CF_TRAIN_ROWS_H

#include "flow/flow.h"
#include "train/data.h"
#include "train/loop.h"

typedef struct {
    cf_flow *flow; /* whose layers are set from the data; NULL: another model's loss */
    const cf_function *loss;
    const cf_function *pairs;          /* of its coupling (train/coupling.h), or NULL */
    const cf_data *train, *validation; /* validation may be NULL; rows stay the caller's */
    uint64_t batch_size, seed;
    const double *jitter; /* by feature: uniform noise on [0, jitter) added afresh to every row; or
                             NULL */
    bool standardize_again; /* whatever earlier fits have set */
    int threads;
} cf_rows_options;

typedef struct cf_rows cf_rows;

/* Checks all data. Arrays of rows must stay as they are until cf_rows_free. */
cf_status cf_rows_new(cf_rows **out, cf_model *model, const cf_rows_options *options);
void cf_rows_free(cf_rows *rows); /* NULL is accepted */

cf_objective cf_rows_objective(cf_rows *rows);

/* Sets the loss's input kl_weight from here on; 1: it is not given. CF_INVALID for other weights if
 * the loss has no such input. */
cf_status cf_rows_set_kl_weight(cf_rows *rows, double weight);

#endif
