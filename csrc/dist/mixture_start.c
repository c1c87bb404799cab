/* How the clusters of points start a mixture of normals. */
#include <math.h>
#include <string.h>

#include "base/cholesky.h"
#include "base/memory.h"
#include "dist/kmeans.h"
#include "dist/mixture.h"

/* A variance is at least this share of that of all points. */
static const double least_share = 1e-6;

typedef struct {
    const cf_mixture *mixture;
    cf_model *model;
    cf_points points;
    double *centre, *count; /* by cluster */
    size_t *label;          /* by row */
    double *pooled;         /* the mean covariance within clusters */
    double *covariance;     /* of one cluster; of both the diagonal alone, or the lower triangle */
} clustering;

static bool is_dense(const clustering *c) {
    return c->mixture->lowers > 0;
}

/* Adds to a covariance that of the rows of cluster k around its centre, times their number. */
static void add_cluster(const clustering *c, size_t k, double *sum) {
    size_t n = c->points.features;
    const double *centre = c->centre + k * n;
    for (size_t row = 0; row < c->points.rows; row++) {
        const double *x = c->points.x + row * n;
        if (c->label[row] != k)
            continue;
        for (size_t i = 0; i < n; i++)
            for (size_t j = is_dense(c) ? 0 : i; j <= i; j++)
                sum[i * n + j] += (x[i] - centre[i]) * (x[j] - centre[j]);
    }
}

static double variance_of_all(const cf_points *points, size_t f) {
    double mean = 0.0, sum = 0.0;
    for (size_t row = 0; row < points->rows; row++)
        mean += (points->x[row * points->features + f] - mean) / (double)(row + 1);
    for (size_t row = 0; row < points->rows; row++)
        sum += pow(points->x[row * points->features + f] - mean, 2.0);
    return sum / (double)points->rows;
}

/* Of features without spread the variance is 1; off the diagonal numbers shrink so little that
 * features which depend on each other still have a factor. */
static void pool(const clustering *c) {
    size_t n = c->points.features;
    for (size_t k = 0; k < c->mixture->components; k++)
        add_cluster(c, k, c->pooled);
    for (size_t i = 0; i < n * n; i++)
        c->pooled[i] *= (i / n == i % n ? 1.0 : 1.0 - least_share) / (double)c->points.rows;
    for (size_t f = 0; f < n; f++) {
        double all = variance_of_all(&c->points, f);
        c->pooled[f * (n + 1)] = all > 0.0 ? c->pooled[f * (n + 1)] + least_share * all : 1.0;
    }
}

/* The covariance of cluster k, with some rows' worth of the pooled one. */
static void compute_covariance(const clustering *c, size_t k) {
    size_t n = c->points.features;
    double prior = is_dense(c) ? (double)(n + 1) : 2.0;
    for (size_t i = 0; i < n * n; i++)
        c->covariance[i] = prior * c->pooled[i];
    add_cluster(c, k, c->covariance);
    for (size_t i = 0; i < n * n; i++)
        c->covariance[i] /= c->count[k] + prior;
}

/* The unconstrained number of a scale: at least a thousandth of it is left above the minimum. */
static double log_scale_of(const clustering *c, double scale) {
    return log(fmax(scale - c->mixture->minimum_scale, 1e-3 * scale));
}

/* Factor `k` of the covariance `a`, which it overwrites. */
static void set_factor(const clustering *c, double *a, size_t k) {
    const cf_mixture *m = c->mixture;
    size_t n = m->features, triangle = cf_triangle_size(n), at = m->lower + k * triangle;
    bool dense = is_dense(c);
    for (size_t i = 0; dense && i < n; i++) /* exact zeros, should it have no factor */
        c->count[m->components + i] = a[i * (n + 1)];
    bool found = dense && cf_cholesky(a, n);
    for (size_t i = 0; i < n; i++) {
        double variance = dense ? c->count[m->components + i] : a[i * (n + 1)];
        double scale = found ? a[i * (n + 1)] : sqrt(variance);
        cf_model_set_parameter(c->model, m->log_scale + k * n + i, log_scale_of(c, scale));
        for (size_t j = 0; dense && j < i; j++)
            cf_model_set_parameter(c->model, at++, found ? a[i * n + j] : 0.0);
    }
}

static void set_sphere(const clustering *c, const double *a, size_t k) {
    size_t n = c->mixture->features;
    double mean = 0.0;
    for (size_t f = 0; f < n; f++)
        mean += a[f * (n + 1)] / (double)n;
    cf_model_set_parameter(c->model, c->mixture->log_scale + k, log_scale_of(c, sqrt(mean)));
}

static void set_parameters(const clustering *c) {
    const cf_mixture *m = c->mixture;
    size_t n = m->features, count = m->components;
    for (size_t row = 0; row < c->points.rows; row++)
        c->count[c->label[row]]++;
    pool(c);
    for (size_t k = 0; k < count; k++) {
        double share = (c->count[k] + 1.0) / (double)(c->points.rows + count);
        cf_model_set_parameter(c->model, m->logits + k, log(share * (double)count));
        for (size_t f = 0; f < n; f++)
            cf_model_set_parameter(c->model, m->loc + k * n + f, c->centre[k * n + f]);
        if (m->covariance == CF_MIXTURE_TIED)
            continue;
        compute_covariance(c, k);
        if (m->covariance == CF_MIXTURE_SPHERICAL)
            set_sphere(c, c->covariance, k);
        else
            set_factor(c, c->covariance, k);
    }
    if (m->covariance == CF_MIXTURE_TIED)
        set_factor(c, c->pooled, 0);
}

static cf_status start(clustering *c, uint64_t seed) {
    size_t n = c->points.features, count = c->mixture->components;
    CF_TRY(cf_alloc(&c->centre, count, n * sizeof *c->centre));
    CF_TRY(cf_alloc(&c->count, count + n, sizeof *c->count));
    CF_TRY(cf_alloc(&c->label, c->points.rows, sizeof *c->label));
    CF_TRY(cf_alloc(&c->pooled, n, n * sizeof *c->pooled));
    CF_TRY(cf_alloc(&c->covariance, n, n * sizeof *c->covariance));
    CF_TRY(cf_kmeans(&c->points, count, seed, c->centre, c->label));
    set_parameters(c);
    return CF_OK;
}

cf_status cf_mixture_start(const cf_mixture *mixture, cf_model *model, const double *points,
                           size_t rows, uint64_t seed) {
    clustering c = {
        .mixture = mixture, .model = model, .points = {points, rows, mixture->features}};
    if (rows / 2 < mixture->components)
        return CF_OK;
    cf_status status = start(&c, seed);
    cf_free(c.centre);
    cf_free(c.count);
    cf_free(c.label);
    cf_free(c.pooled);
    cf_free(c.covariance);
    return status;
}
