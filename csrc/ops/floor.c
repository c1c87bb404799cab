/* The greatest integer that is not above x; NaN stays NaN. The gradient is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/floor.c"
#include "simd/instantiate.h"

static const cf_op floor_op = {
    .name = "floor",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(floor_value),
    .gradient = cf_zero_gradient,
};

cf_value cf_floor(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &floor_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(floor_value, v_round(x) - v_select(v_lt(x, v_round(x)), v_set1((real)1), v_set1((real)0)))

#endif
