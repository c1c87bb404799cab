/* 1 where x >= threshold, 0 where it is below, NaN for NaN. The gradient is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double threshold;
} greater_equal_params;

#define CF_BODY "ops/greater_equal.c"
#include "simd/instantiate.h"

static const cf_op greater_equal_op = {
    .name = "greater_equal",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(greater_equal_params),
    .elementwise = CF_VERSIONS(greater_equal),
    .gradient = cf_zero_gradient,
};

cf_value cf_greater_equal(cf_builder *b, cf_value x, double threshold) {
    greater_equal_params params = {threshold};
    return cf_elementwise_op(b, &greater_equal_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_UNARY_WITH(greater_equal_params, greater_equal,
              v_select(v_le(CF_PARAM(threshold), x), v_set1((real)1),
                       v_select(v_lt(x, CF_PARAM(threshold)), v_set1((real)0), x)))

#endif
