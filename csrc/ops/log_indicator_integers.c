/* 0 where x is an integer from low to high, -inf elsewhere, NaN for NaN: the logarithm of an
 * indicator. The gradient is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double low, high;
} log_integer_params;

#define CF_BODY "ops/log_indicator_integers.c"
#include "simd/instantiate.h"

static const cf_op log_indicator_integers_op = {
    .name = "log_indicator_integers",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(log_integer_params),
    .elementwise = CF_VERSIONS(log_indicator_integers),
    .gradient = cf_zero_gradient,
};

cf_value cf_log_indicator_integers(cf_builder *b, cf_value x, double low, double high) {
    log_integer_params params = {low, high};
    return cf_elementwise_op(b, &log_indicator_integers_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_UNARY_WITH(log_integer_params, log_indicator_integers,
              v_select(v_and(v_eq(x, v_round(x)),
                             v_and(v_le(CF_PARAM(low), x), v_le(x, CF_PARAM(high)))),
                       v_set1((real)0), v_select(v_eq(x, x), v_set1((real)-INFINITY), x)))

#endif
