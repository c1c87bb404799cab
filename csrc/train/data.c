#include "train/data.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/philox.h"

static long long row_number(const cf_array *array, size_t i) {
    return (long long)cf_array_row(array, i);
}

static cf_status check_finite(const cf_array *array, size_t rows, size_t features, const char *what,
                              const char *part) {
    for (size_t i = 0; i < rows; i++)
        for (size_t f = 0; f < features; f++) {
            double value = cf_array_number(array, i, f);
            if (!isfinite(value))
                return cf_fail(CF_INVALID,
                               "%s%s: row %lld holds %g in column %zu; all must be finite", what,
                               part, row_number(array, i), value, f);
        }
    return CF_OK;
}

/* *out = a copy of `count` elements of `size` bytes, or NULL of NULL. */
static cf_status copy_array(void *out, const void *array, size_t count, size_t size) {
    void *copy = NULL;
    if (array != NULL) {
        CF_TRY(cf_alloc(&copy, count, size));
        memcpy(copy, array, count * size);
    }
    memcpy(out, &copy, sizeof copy);
    return CF_OK;
}

cf_status cf_data_copy(cf_data *out, const cf_data *data) {
    const int64_t *given[3] = {data->x.index, data->context.index, data->u.index};
    *out = *data;
    out->weights = NULL;
    out->x.index = out->context.index = out->u.index = NULL;
    CF_TRY(copy_array(&out->weights, data->weights, data->rows, sizeof *data->weights));
    CF_TRY(copy_array(&out->x.index, given[0], data->rows, sizeof *given[0]));
    CF_TRY(copy_array(&out->context.index, given[1], data->rows, sizeof *given[1]));
    return copy_array(&out->u.index, given[2], data->rows, sizeof *given[2]);
}

void cf_data_free(cf_data *data) {
    cf_free((void *)data->weights);
    cf_free((void *)data->x.index);
    cf_free((void *)data->context.index);
    cf_free((void *)data->u.index);
    *data = (cf_data){0};
}

cf_status cf_check_total_weight(double sum, const char *what) {
    if (sum == 0.0)
        return cf_fail(CF_INVALID, "%s: all weights are 0", what);
    if (!(sum >= DBL_MIN && isfinite(sum)))
        return cf_fail(CF_INVALID,
                       "%s: the weights add up to %g, which is out of range: divide them by the "
                       "largest",
                       what, sum);
    return CF_OK;
}

static cf_status check_weights(const cf_data *data, const char *what) {
    double sum = 0.0;
    for (size_t i = 0; data->weights != NULL && i < data->rows; i++) {
        if (!(data->weights[i] >= 0.0 && isfinite(data->weights[i])))
            return cf_fail(CF_INVALID, "%s: the weight of row %lld is %g; it must be 0 or more",
                           what, row_number(&data->x, i), data->weights[i]);
        sum += data->weights[i];
    }
    return data->weights != NULL ? cf_check_total_weight(sum, what) : CF_OK;
}

cf_status cf_data_check(const cf_data *data, size_t features, size_t context, const char *what) {
    if (data->rows == 0)
        return cf_fail(CF_INVALID, "%s: no rows", what);
    CF_TRY(check_finite(&data->x, data->rows, features, what, ""));
    if (data->context.data != NULL)
        CF_TRY(check_finite(&data->context, data->rows, context, what, ", context"));
    if (data->u.data != NULL)
        CF_TRY(check_finite(&data->u, data->rows, data->u_features, what, ", u"));
    return check_weights(data, what);
}

static cf_status fill_split(size_t rows, size_t held_out, uint64_t seed, unsigned char *chosen) {
    int64_t *order;
    CF_TRY(cf_alloc(&order, rows, sizeof *order));
    for (size_t i = 0; i < rows; i++)
        order[i] = (int64_t)i;
    cf_philox_shuffle(order, (int64_t)rows, seed, CF_STREAM_SPLIT, 0);
    for (size_t i = 0; i < held_out; i++)
        chosen[order[i]] = 1;
    cf_free(order);
    return CF_OK;
}

cf_status cf_data_split(size_t rows, double fraction, uint64_t seed, int64_t **train,
                        size_t *train_rows, int64_t **validation, size_t *validation_rows) {
    unsigned char *chosen = NULL;
    *train = *validation = NULL;
    if (!(fraction > 0.0 && fraction < 1.0))
        return cf_fail(CF_INVALID, "validation must be a fraction between 0 and 1, got %g",
                       fraction);
    size_t held_out = (size_t)llround(fraction * (double)rows);
    held_out = held_out < 1 ? 1 : held_out;
    if (held_out >= rows)
        return cf_fail(CF_INVALID, "validation=%g leaves no rows to train on: there are %zu",
                       fraction, rows);
    cf_status status = cf_alloc(&chosen, rows, 1);
    if (status == CF_OK)
        status = fill_split(rows, held_out, seed, chosen);
    if (status == CF_OK)
        status = cf_alloc(train, rows - held_out, sizeof **train);
    if (status == CF_OK)
        status = cf_alloc(validation, held_out, sizeof **validation);
    *train_rows = *validation_rows = 0;
    for (size_t i = 0; i < rows && status == CF_OK; i++)
        if (chosen[i])
            (*validation)[(*validation_rows)++] = (int64_t)i;
        else
            (*train)[(*train_rows)++] = (int64_t)i;
    if (status != CF_OK) {
        cf_free(*train);
        cf_free(*validation);
        *train = *validation = NULL;
    }
    cf_free(chosen);
    return status;
}

double cf_data_mean_weight(const cf_data *data) {
    double sum = 0.0;
    if (data->weights == NULL)
        return 1.0;
    for (size_t i = 0; i < data->rows; i++)
        sum += data->weights[i];
    return sum / (double)data->rows;
}

double cf_data_weight(const cf_data *data, size_t i) {
    return data->weights != NULL ? data->weights[i] : 1.0;
}

long long cf_data_row_number(const cf_data *data, size_t i) {
    return row_number(&data->x, i);
}
