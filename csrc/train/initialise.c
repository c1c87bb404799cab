#include "train/initialise.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* Mean and standard deviation of the noise on a column: uniform on [0, jitter). */
static double noise_mean(const double *jitter, size_t f) {
    return jitter != NULL ? jitter[f] / 2.0 : 0.0;
}

static double noise_deviation(const double *jitter, size_t f) {
    return jitter != NULL ? jitter[f] / sqrt(12.0) : 0.0;
}

/* The columns' weighted means and standard deviations. Two passes over the rows, which may be on
 * disk; sums are of differences from a row that counts, in units of the largest, so that a large
 * offset loses nothing and no square overflows or vanishes. Rows of weight 0 do not count. */
static void moments(const cf_data *data, size_t features, const double *jitter, double *mean,
                    double *deviation, double *largest) {
    size_t pivot = 0;
    double total = 0.0, unit = cf_data_mean_weight(data);
    while (pivot < data->rows && cf_data_weight(data, pivot) == 0.0)
        pivot++;
    memset(mean, 0, features * sizeof *mean);
    memset(deviation, 0, features * sizeof *deviation);
    for (size_t i = pivot; i < data->rows; i++) {
        double w = cf_data_weight(data, i) / unit;
        total += w;
        for (size_t f = 0; w > 0.0 && f < features; f++) {
            double d = cf_data_number(&data->x, i, f) - cf_data_number(&data->x, pivot, f);
            mean[f] += w * d;
            largest[f] = fmax(largest[f], fabs(d));
        }
    }
    for (size_t f = 0; f < features; f++)
        mean[f] /= total;
    for (size_t i = pivot; i < data->rows; i++) {
        double w = cf_data_weight(data, i) / unit;
        for (size_t f = 0; w > 0.0 && f < features; f++) {
            double d =
                cf_data_number(&data->x, i, f) - cf_data_number(&data->x, pivot, f) - mean[f];
            d = largest[f] > 0.0 ? d / largest[f] : 0.0;
            deviation[f] += w * d * d;
        }
    }
    for (size_t f = 0; f < features; f++) {
        mean[f] += cf_data_number(&data->x, pivot, f) + noise_mean(jitter, f);
        deviation[f] = hypot(largest[f] * sqrt(deviation[f] / total), noise_deviation(jitter, f));
        if (!(deviation[f] > 0.0 && isfinite(deviation[f])))
            deviation[f] = 1.0;
    }
}

/* Where the layer next to the data keeps shift and scale; NULL if data set them for no feature, or
 * have done so. */
static double *find_unset_buffers(const cf_flow *flow) {
    size_t features = cf_flow_features(flow), offset;
    double *values = NULL;
    for (size_t f = 0; f < features; f++) {
        if (!cf_layer_standardizes(&flow->chain, f, &offset))
            continue;
        values = cf_model_buffers(flow->model) + offset;
        if (values[f] != 0.0 || values[features + f] != 1.0)
            return NULL;
    }
    return values;
}

cf_status cf_standardize(cf_flow *flow, const cf_data *data, const double *jitter) {
    double *values = find_unset_buffers(flow), *mean, *deviation;
    size_t features = cf_flow_features(flow), offset;
    if (values == NULL)
        return CF_OK;
    CF_TRY(cf_alloc(&mean, features, 3 * sizeof *mean));
    deviation = mean + features;
    moments(data, features, jitter, mean, deviation, deviation + features);
    for (size_t f = 0; f < features; f++)
        if (cf_layer_standardizes(&flow->chain, f, &offset)) {
            values[f] = mean[f];
            values[features + f] = deviation[f];
        }
    cf_free(mean);
    return CF_OK;
}

/* Each image has many numbers a channel, and all are held in memory at once. */
enum { INITIALISATION_IMAGES = 256 };

cf_status cf_initialise_from_data(cf_flow *flow, const cf_function_call *call) {
    cf_function_call initialise = *call;
    if (!cf_model_awaits_initialisation(flow->model))
        return CF_OK;
    if (flow->shape.image && initialise.samples > INITIALISATION_IMAGES)
        initialise.samples = INITIALISATION_IMAGES;
    initialise.mode = CF_DATA_INITIALISATION;
    CF_TRY(cf_model_call_locked(flow->model, &initialise));
    cf_model_initialise(flow->model);
    return CF_OK;
}
