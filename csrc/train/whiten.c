#include "train/whiten.h"

#include <math.h>
#include <string.h>

#include "base/cholesky.h"
#include "base/memory.h"
#include "base/philox.h"
#include "layers/triangular.h"

enum { CHUNK = CF_MAX_LANES, MAX_ROWS = 100000 };

typedef struct {
    const cf_data *data;
    const double *jitter;
    const cf_fixed_map *map; /* between the layer and the data, or NULL */
    const double *buffers;
    size_t n;           /* columns */
    size_t rows, every; /* that are read: each `every`-th */
    double unit;        /* of the weights */
    double *z;          /* a chunk of rows, by column */
    double *mean, *covariance;
    double total;
} whitening;

/* Column f of the rows of a chunk where the layer acts; the weight of a row outside of the map's
 * domain becomes 0. */
static void read_column(const whitening *w, size_t first, size_t f, double *weights) {
    double noise[CHUNK], width = w->jitter != NULL ? w->jitter[f] : 0.0, *z = w->z + f * CHUNK;
    cf_map_call call = {.map = w->map,
                        .buffers = w->buffers,
                        .unit = 0x1p-52,
                        .to_base = true,
                        .log_slopes = true,
                        .derivatives = true};
    cf_mapped m;
    for (size_t i = 0; i < CHUNK; i++) {
        size_t k = first + i < w->rows ? first + i : w->rows - 1, row = k * w->every;
        noise[i] = cf_philox_uniform(0, row, CF_STREAM_JITTER, (uint32_t)f);
        z[i] = cf_array_number(&w->data->x, row, f) + (width > 0.0 ? width * noise[i] : 0.0);
    }
    if (w->map == NULL)
        return;
    memcpy(m.value, z, sizeof m.value);
    cf_map_feature[cf_simd()](&call, f, CHUNK, noise, &m);
    memcpy(z, m.value, sizeof m.value);
    for (size_t i = 0; i < CHUNK; i++)
        if (!(m.log_slope[i] > -INFINITY && isfinite(z[i])))
            weights[i] = 0.0;
}

/* The rows of the chunk that begins at `first`. */
static void read_chunk(const whitening *w, size_t first, double *weights) {
    for (size_t i = 0; i < CHUNK; i++)
        weights[i] =
            first + i < w->rows ? cf_data_weight(w->data, (first + i) * w->every) / w->unit : 0.0;
    for (size_t f = 0; f < w->n; f++)
        read_column(w, first, f, weights);
}

/* One pass for the means, one for the covariance about them. */
static void add_means(whitening *w, const double *weights) {
    for (size_t i = 0; i < CHUNK; i++) {
        if (weights[i] == 0.0)
            continue;
        w->total += weights[i];
        for (size_t f = 0; f < w->n; f++)
            w->mean[f] += (w->z[f * CHUNK + i] - w->mean[f]) * (weights[i] / w->total);
    }
}

static void add_covariance(whitening *w, const double *weights) {
    for (size_t f = 0; f < w->n; f++)
        for (size_t i = 0; i < CHUNK; i++)
            w->z[f * CHUNK + i] = weights[i] > 0.0 ? w->z[f * CHUNK + i] - w->mean[f] : 0.0;
    for (size_t f = 0; f < w->n; f++) {
        double weighted[CHUNK];
        for (size_t i = 0; i < CHUNK; i++)
            weighted[i] = w->z[f * CHUNK + i] * weights[i] / w->total;
        for (size_t g = 0; g <= f; g++) {
            double sum = 0.0;
            for (size_t i = 0; i < CHUNK; i++)
                sum += weighted[i] * w->z[g * CHUNK + i];
            w->covariance[f * w->n + g] += sum;
        }
    }
}

static void pass(whitening *w, void (*add)(whitening *w, const double *weights)) {
    double weights[CHUNK];
    for (size_t first = 0; first < w->rows; first += CHUNK) {
        read_chunk(w, first, weights);
        add(w, weights);
    }
}

static void shrink(whitening *w, cf_dtype dtype) {
    double share = (double)w->n / (double)w->rows;
    double s = fmin(1.0, share * share + 64.0 * (dtype == CF_FLOAT32 ? 0x1p-23 : 0x1p-52));
    for (size_t f = 0; f < w->n; f++) {
        for (size_t g = 0; g < f; g++)
            w->covariance[f * w->n + g] *= 1.0 - s;
        if (!(w->covariance[f * w->n + f] > 0.0)) /* a column without spread */
            w->covariance[f * w->n + f] = 1.0;
    }
}

/* Reverses the order of columns of a symmetric matrix whose lower triangle is stored. */
static void reverse(double *a, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i && i + j < n - 1; j++) {
            double *other = &a[(n - 1 - j) * n + (n - 1 - i)], kept = a[i * n + j];
            a[i * n + j] = *other;
            *other = kept;
        }
}

/* In place, A = L L^T, with the columns from the last if `reversed`: the transpose of what is
 * stored is upper triangular then. False if A is not positive definite. */
static bool factor(double *a, size_t n, bool reversed) {
    if (reversed)
        reverse(a, n);
    bool found = cf_cholesky(a, n);
    if (reversed)
        reverse(a, n);
    return found;
}

static void set_parameters(cf_model *model, const cf_triangular_parameters *to,
                           const whitening *w) {
    for (size_t i = 0; i < w->n; i++) {
        cf_model_set_parameter(model, to->diagonal + i, log(w->covariance[i * w->n + i]));
        for (size_t j = 0; j < i; j++) {
            size_t at = to->upper ? j * w->n + i : i * w->n + j;
            cf_model_set_parameter(model, to->weight + at, w->covariance[i * w->n + j]);
        }
        if (to->has_bias)
            cf_model_set_parameter(model, to->bias + i, w->mean[i]);
    }
}

static bool is_as_it_started(const cf_model *model, const cf_triangular_parameters *p) {
    const void *parameters = cf_model_parameters((cf_model *)model);
    cf_dtype dtype = cf_model_dtype(model);
    for (size_t i = 0; i < p->features * p->features; i++)
        if (cf_number_at(parameters, p->weight + i, dtype) != 0.0)
            return false;
    for (size_t i = 0; i < p->features; i++)
        if (cf_number_at(parameters, p->diagonal + i, dtype) != 0.0)
            return false;
    return true;
}

static void whiten(cf_flow *flow, const cf_triangular_parameters *to, whitening *w) {
    pass(w, add_means);
    if (!(w->total > 0.0))
        return;
    pass(w, add_covariance);
    shrink(w, cf_model_dtype(flow->model));
    if (factor(w->covariance, w->n, to->upper))
        set_parameters(flow->model, to, w);
}

cf_status cf_whiten(cf_flow *flow, const cf_data *data, const double *jitter, bool again) {
    const cf_layer *chain = &flow->chain;
    cf_triangular_parameters to;
    if (chain->mapped == 0 || !cf_triangular_from_data(&chain->child[chain->mapped - 1], &to) ||
        !(again || is_as_it_started(flow->model, &to)))
        return CF_OK;
    whitening w = {.data = data,
                   .jitter = jitter,
                   .map = cf_layer_data_map(chain),
                   .buffers = cf_model_buffers(flow->model),
                   .n = to.features,
                   .unit = cf_data_mean_weight(data)};
    w.every = (data->rows + MAX_ROWS - 1) / MAX_ROWS;
    w.rows = (data->rows + w.every - 1) / w.every;
    cf_status status = cf_alloc(&w.z, w.n, CHUNK * sizeof *w.z);
    if (status == CF_OK)
        status = cf_alloc(&w.mean, w.n, sizeof *w.mean);
    if (status == CF_OK)
        status = cf_alloc(&w.covariance, w.n, w.n * sizeof *w.covariance);
    if (status == CF_OK)
        whiten(flow, &to, &w);
    cf_free(w.z);
    cf_free(w.mean);
    cf_free(w.covariance);
    return status;
}
