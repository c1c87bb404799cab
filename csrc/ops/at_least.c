/* 1 where x >= threshold, 0 where it is below, NaN for NaN. The gradient is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double threshold;
} at_least_params;

#define CF_BODY "ops/at_least.c"
#include "simd/instantiate.h"

static const cf_op at_least_op = {
    .name = "at_least",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(at_least_params),
    .elementwise = CF_VERSIONS(at_least),
    .gradient = cf_zero_gradient,
};

cf_value cf_at_least(cf_builder *b, cf_value x, double threshold) {
    at_least_params params = {threshold};
    return cf_elementwise_op(b, &at_least_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_UNARY_WITH(at_least_params, at_least,
              v_select(v_le(CF_PARAM(threshold), x), v_set1((real)1),
                       v_select(v_lt(x, CF_PARAM(threshold)), v_set1((real)0), x)))

#endif
