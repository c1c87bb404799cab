/* What a Mixture's parameters are, for what sets them. */
#ifndef CF_DIST_MIXTURE_H
#define CF_DIST_MIXTURE_H

#include "dist/base.h"
#include "nn/conditioner.h"

enum { CF_MIXTURE_SPHERICAL, CF_MIXTURE_DIAGONAL, CF_MIXTURE_TIED, CF_MIXTURE_FULL };

typedef struct {
    size_t components, features;
    int covariance; /* one of these */
    double minimum_scale;
    bool conditional;
    bool kmeans; /* clusters of the data's points start a fit */
    /* Of the parameters: logits [K], loc [K, features], log_scale [K], [K, features] or, tied,
     * [features], and lower, [K, features (features - 1) / 2] or without K. */
    size_t logits, loc, log_scale, lower;
    size_t scales, lowers;      /* how many numbers there are of the last two */
    int64_t *columns;           /* where those of lower are, column by column and of all K each */
    cf_conditioner conditioner; /* of the same numbers, beside those parameters */
} cf_mixture;

/* What lies below the diagonal of a factor of the covariance. */
static inline size_t cf_triangle_size(size_t features) {
    return features * (features - 1) / 2;
}

/* Sets the parameters to the clusters of points, rows of `features` numbers: centres, logarithms of
 * shares and factors of covariances. Without two rows a component nothing changes. */
cf_status cf_mixture_start(const cf_mixture *mixture, cf_model *model, const double *points,
                           size_t rows, uint64_t seed);

#endif
