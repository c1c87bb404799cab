/* x sigmoid(x). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/silu.c"
#include "simd/instantiate.h"

static void silu_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    (void)out;
    cf_value x = node->operand[0], dy = node->operand[1];
    if (needed[0]) {
        /* silu'' = s (1 - s) (2 + x (1 - 2 s)) with s = sigmoid(x). */
        cf_value s = cf_sigmoid(b, x);
        cf_value bell = cf_multiply(b, s, cf_scale(b, s, -1.0, 1.0));
        cf_value bend = cf_scale(b, cf_multiply(b, x, cf_scale(b, s, -2.0, 1.0)), 1.0, 2.0);
        dx[0] = cf_multiply(b, cf_multiply(b, dout, dy), cf_multiply(b, bell, bend));
    }
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, x, dout);
}

static const cf_op silu_slope_op = {
    .name = "silu gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(silu_slope),
    .gradient = silu_slope_rule,
};

static void silu_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_binary_op(b, &silu_slope_op, node->operand[0], dout);
}

static const cf_op silu_op = {
    .name = "silu",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(silu_value),
    .gradient = silu_rule,
};

cf_value cf_silu(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &silu_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(silu_value, x *v_sigmoid(x))

static inline vreal CF_FN(silu_slope_of)(vreal x) {
    vreal s = v_sigmoid(x);
    return s * v_fma(x, v_set1(1) - s, v_set1(1));
}

/* The slope s (1 + x (1 - s)) at the input x, times the cotangent y. */
CF_BINARY(silu_slope, y *CF_FN(silu_slope_of)(x))

#endif
