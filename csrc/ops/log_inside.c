/* 0 where x lies in [low, high], -inf outside, NaN for NaN: the logarithm of an indicator. Its
 * gradient is 0. low = number[0], high = number[1]. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/log_inside.c"
#include "simd/instantiate.h"

static void log_inside_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    (void)b;
    (void)node;
    (void)out;
    (void)dout;
    (void)needed;
    (void)dx; /* stays CF_NO_VALUE: zero */
}

static const cf_op log_inside_op = {
    .name = "log_inside",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(log_inside),
    .gradient = log_inside_rule,
};

cf_value cf_log_inside(cf_builder *b, cf_value x, double low, double high) {
    cf_attributes attributes = {.number = {low, high}};
    return cf_elementwise_op(b, &log_inside_op, 1, (cf_value[]){x}, &attributes);
}

#else

#include "ops/elementwise.h"

/* x - x is 0, or NaN where x is NaN; an infinite x is outside. */
CF_UNARY(log_inside, v_select(v_lt(x, CF_NUMBER(0)), v_set1((real)-INFINITY),
                              v_select(v_lt(CF_NUMBER(1), x), v_set1((real)-INFINITY), x - x)))

#endif
