/* Running statistics, from rows of the training data with the weights as they are. */
#include "base/memory.h"
#include "train/rows_state.h"

/* Samples that they are computed from, at most: before a validation, and in the end of vectors, up
 * to a share of those that were learned; and in one call of vectors and of images. */
enum { STATISTICS_ROWS = 10000, LAST_STATISTICS_ROWS = 100000, STATISTICS_IMAGES = 256 };
enum { LEARNED_FOR_ONE = 8 };

static bool has_images(const cf_rows *r) {
    return r->flow != NULL && r->flow->shape.image;
}

/* Rows of a positive weight, evenly spaced, as rows of the arrays: `count` of them. */
static void choose_evenly(const cf_rows *r, size_t count, int64_t *out) {
    const int64_t *index = r->train.x.index;
    size_t seen = 0, chosen = 0;
    for (size_t i = 0; i < r->train.rows && chosen < count; i++) {
        if (cf_data_weight(&r->train, i) == 0.0)
            continue;
        if (seen++ >= (size_t)((double)chosen * (double)r->rows / (double)count))
            out[chosen++] = index != NULL ? index[i] : (int64_t)i;
    }
}

static cf_status pool_statistics(cf_rows *r, const int64_t *index, size_t count, double *pooled) {
    size_t at_once = has_images(r) ? STATISTICS_IMAGES : STATISTICS_ROWS;
    for (size_t first = 0; first < count; first += at_once) {
        cf_function_call call = cf_rows_call(r, r->loss, &r->train, index + first);
        call.samples = count - first < at_once ? count - first : at_once;
        call.first_sample = (UINT64_C(1) << 63) + first;
        call.mode = CF_TRAINING;
        cf_call_set_output(&call, "loss", (cf_result){r->losses, 1});
        CF_TRY(cf_model_call_locked(r->model, &call));
        cf_model_pool_statistics(r->model, pooled, (double)first, (double)call.samples);
    }
    cf_model_set_statistics(r->model, pooled);
    return CF_OK;
}

/* Running statistics lag behind the weights, and are of a few batches. These are of the data. */
cf_status cf_rows_settle(void *self, uint64_t drawn, bool last) {
    cf_rows *r = self;
    size_t max = STATISTICS_ROWS, share = (size_t)(drawn / LEARNED_FOR_ONE);
    if (last && !has_images(r) && share > max)
        max = share < LAST_STATISTICS_ROWS ? share : LAST_STATISTICS_ROWS;
    if (!cf_model_has_batch_statistics(r->model))
        max = 1; /* any sample gives those of the weights */
    size_t count = r->rows < max ? r->rows : max;
    int64_t *index = NULL;
    double *pooled = NULL;
    cf_status status = cf_alloc(&index, count, sizeof *index);
    if (status == CF_OK)
        status = cf_alloc(&pooled, cf_model_statistic_elements(r->model), sizeof *pooled);
    if (status == CF_OK) {
        choose_evenly(r, count, index);
        status = pool_statistics(r, index, count, pooled);
    }
    cf_free(index);
    cf_free(pooled);
    return status;
}
