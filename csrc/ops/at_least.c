/* 1 where x >= threshold = number[0], 0 where it is below, NaN for NaN. The gradient is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/at_least.c"
#include "simd/instantiate.h"

static const cf_op at_least_op = {
    .name = "at_least",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(at_least),
    .gradient = cf_zero_gradient,
};

cf_value cf_at_least(cf_builder *b, cf_value x, double threshold) {
    cf_attributes attributes = {.number = {threshold}};
    return cf_elementwise_op(b, &at_least_op, 1, (cf_value[]){x}, CF_PARAMS(&attributes));
}

#else

#include "ops/elementwise.h"

CF_UNARY(at_least, v_select(v_le(CF_NUMBER(0), x), v_set1((real)1),
                            v_select(v_lt(x, CF_NUMBER(0)), v_set1((real)0), x)))

#endif
