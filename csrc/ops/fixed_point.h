/* Fixed points of contractions: each sample by its own iterations. */
#ifndef CF_OPS_FIXED_POINT_H
#define CF_OPS_FIXED_POINT_H

#include "engine/loop.h"
#include "ops/ops.h"

/* Emits g(z), of as many features as z. */
typedef cf_value (*cf_contraction)(cf_builder *b, const void *context, cf_value z);

typedef struct {
    cf_contraction function; /* the map z -> g(z) */
    const void *context;     /* context_size bytes, copied into the builder */
    size_t context_size;
    cf_value start;   /* batched values */
    double tolerance; /* a sample has finished where no feature of g(z) - z is greater than this
                         times the greatest of z, or `floor`; 0: eight units in the last place.
                         With a contraction by r, z is then wrong by r / (1 - r) as much */
    double floor;
    cf_value magnitude; /* one feature: a floor of each sample; or CF_NO_VALUE */
    /* A bound of r, or 0: none is known. Rounding errors are enlarged by 1 / (1 - r), and may then
     * keep z moving, to and fro, by more than the tolerance: with a bound a sample has not failed
     * that after all iterations moves by that little. */
    double rate;
    uint32_t max_iterations; /* with a bound enough for any start */
} cf_fixed_point_spec;

/* z = g(z), by iteration from `start`. A sample that does not end within the bound has failed: it
 * is NaN. `failed` (or NULL): 1 where a sample has failed, else 0.
 *
 * The gradient is that of the implicit function: w = dz + (dg/dz)^T w, a fixed point by the same
 * iteration, is the cotangent of g at z, from which that of what g has read follows. `start` has
 * none. The same holds for the gradient's gradient. */
cf_value cf_fixed_point(cf_builder *b, const cf_fixed_point_spec *spec, cf_value *failed);

/* One feature: 1 where `next` is further from `z` than `tolerance`, or so many units in the last
 * place if that is more, times max(|z|, floor, magnitude) in the maximum norm, else 0; NaN if there
 * is one among them. `magnitude` may be CF_NO_VALUE. No gradient. */
cf_value cf_unsettled(cf_builder *b, cf_value next, cf_value z, cf_value magnitude,
                      double tolerance, double units, double floor);

#endif
