/* x less whole periods: within [low, high]. The slope is 1. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double low, period, high; /* high = low + period */
} wrap_params;

#define CF_BODY "ops/wrap.c"
#include "simd/instantiate.h"

static void wrap_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    (void)b;
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = dout;
}

static const cf_op wrap_op = {
    .name = "wrap",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(wrap_params),
    .elementwise = CF_VERSIONS(wrap),
    .gradient = wrap_rule,
};

cf_value cf_wrap(cf_builder *b, cf_value x, double low, double high) {
    wrap_params params = {low, high - low, high};
    return cf_elementwise_op(b, &wrap_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

/* What lies within stays as it is. Rounding may move the result beyond an end; NaN stays NaN, and
 * infinity becomes NaN. */
CF_INLINE vreal CF_FN(wrap_of)(vreal x, vreal low, vreal period, vreal high) {
    vreal periods = (x - low) / period, whole = v_round(periods);
    whole = v_select(v_lt(periods, whole), whole - v_set1(1), whole);
    vreal moved = v_fma(-whole, period, x);
    vmask within = v_and(v_le(low, x), v_le(x, high));
    return v_select(within, x, v_min(high, v_max(low, moved)));
}

CF_UNARY_WITH(wrap_params, wrap, CF_FN(wrap_of)(x, CF_PARAM(low), CF_PARAM(period), CF_PARAM(high)))

#endif
