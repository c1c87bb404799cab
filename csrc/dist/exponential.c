#include "dist/exponential.h"

#include <math.h>

#include "ops/ops.h"

/* A radius of 0 is a rounded one. The numbers that round to it have about this median. */
static const double MIN_EXPONENTIAL = 0x1p-27;

cf_value cf_exponential_samples(cf_builder *b, size_t features, uint32_t stream) {
    cf_value points = cf_random_normal_samples(b, 2 * features, stream), sums = CF_NO_VALUE;
    cf_value squares = cf_multiply(b, points, points);
    for (size_t f = 0; f < features && cf_builder_status(b) == CF_OK; f++)
        sums =
            cf_concat(b, (cf_value[]){sums, cf_sum_features(b, cf_slice(b, squares, 2 * f, 2))}, 2);
    return cf_clamp(b, cf_scale_shift(b, sums, 0.5, 0.0), MIN_EXPONENTIAL, INFINITY);
}
