/* 0 where x is an integer from number[0] to number[1], -inf elsewhere, NaN for NaN: the logarithm
 * of an indicator. The gradient is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/log_integer.c"
#include "simd/instantiate.h"

static const cf_op log_integer_op = {
    .name = "log_integer",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(log_integer),
    .gradient = cf_zero_gradient,
};

cf_value cf_log_integer(cf_builder *b, cf_value x, double low, double high) {
    cf_attributes attributes = {.number = {low, high}};
    return cf_elementwise_op(b, &log_integer_op, 1, (cf_value[]){x}, CF_PARAMS(&attributes));
}

#else

#include "ops/elementwise.h"

CF_UNARY(log_integer,
         v_select(v_and(v_eq(x, v_round(x)), v_and(v_le(CF_NUMBER(0), x), v_le(x, CF_NUMBER(1)))),
                  v_set1((real)0), v_select(v_eq(x, x), v_set1((real)-INFINITY), x)))

#endif
