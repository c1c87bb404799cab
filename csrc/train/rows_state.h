/* What the objective over rows consists of, for its own files. */
#ifndef CF_TRAIN_ROWS_STATE_H
#define CF_TRAIN_ROWS_STATE_H

#include "train/coupling.h"
#include "train/rows.h"

struct cf_rows {
    cf_model *model;
    cf_flow *flow;
    const cf_function *loss;
    cf_coupling *coupling;     /* or NULL */
    cf_data train, validation; /* with weights and indices of their own; validation.rows 0: none */
    uint64_t batch_size, seed;
    int threads;
    size_t features, context;
    size_t rows;        /* of the training data, without those of weight 0 */
    double mean_weight; /* of these */
    uint64_t steps;     /* per epoch */
    int64_t *order;     /* of them in the present epoch: positions in the training data */
    int64_t *batch;     /* of one batch: rows of the arrays */
    double *cotangents; /* of one batch */
    void *penalties;    /* of one batch */
    void *losses;       /* of one batch, or one chunk of the validation data */
    double *jitter;
    double kl_weight;
    bool standardize_again;
};

/* A call of a function with rows of the data; `index`, unless NULL, tells which. */
cf_function_call cf_rows_call(const cf_rows *rows, const cf_function *function, const cf_data *data,
                              const int64_t *index);

/* The objective's `settle` (running_statistics.c). */
cf_status cf_rows_settle(void *rows, uint64_t drawn, bool last);

#endif
