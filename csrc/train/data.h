/* Training data: rows read in place, checked once before the first step. */
#ifndef CF_TRAIN_DATA_H
#define CF_TRAIN_DATA_H

#include "engine/array.h"
#include "base/status.h"

typedef struct {
    size_t rows;
    cf_array x, context; /* context.data NULL: none */
    cf_array u;          /* points of the base that belong to the rows; data NULL: none */
    size_t u_features;
    const double *weights; /* by row, or NULL: all 1 */
} cf_data;

/* *out = the data, whose rows are still the caller's, with copies of weights and indices, so that
 * no bound of a loop can change. cf_data_free frees it, even after a failure. */
cf_status cf_data_copy(cf_data *out, const cf_data *data);
void cf_data_free(cf_data *data);

/* CF_INVALID, with the row's number in the caller's array, if a row holds NaN or infinity, or a
 * weight is negative or not finite, or all weights are 0, or there is no row. `what` names the data
 * in the message. */
cf_status cf_data_check(const cf_data *data, size_t features, size_t context, const char *what);

/* A random split: `validation` gets round(fraction rows) rows, at least one, `train` the others,
 * which must be at least one; both ascending. Arrays are freed with cf_free. */
cf_status cf_data_split(size_t rows, double fraction, uint64_t seed, int64_t **train,
                        size_t *train_rows, int64_t **validation, size_t *validation_rows);

/* CF_INVALID unless weights of this sum can be divided by it. */
cf_status cf_check_total_weight(double sum, const char *what);

/* The weight of row i, and its number in the caller's array. */
double cf_data_weight(const cf_data *data, size_t i);
long long cf_data_row_number(const cf_data *data, size_t i);

/* The weights' mean. */
double cf_data_mean_weight(const cf_data *data);

#endif
