/* log(1 + exp(x)). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/softplus.c"
#include "simd/instantiate.h"

static void softplus_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                const bool *needed, cf_value *dx) {
    (void)out;
    /* The slope is 1 - exp(-y) in the output y. */
    cf_value y = node->operand[0], dy = node->operand[1];
    if (needed[0])
        dx[0] = cf_multiply(b, cf_multiply(b, dout, dy), cf_exp(b, cf_scale(b, y, -1.0, 0.0)));
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, y, dout);
}

static const cf_op softplus_slope_op = {
    .name = "softplus gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(softplus_slope),
    .gradient = softplus_slope_rule,
};

static void softplus_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    dx[0] = cf_binary_op(b, &softplus_slope_op, out, dout);
}

static const cf_op softplus_op = {
    .name = "softplus",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(softplus_value),
    .gradient = softplus_rule,
};

cf_value cf_softplus(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &softplus_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(softplus_value, v_softplus(x))

/* The slope, from the output x, times the cotangent y. */
CF_BINARY(softplus_slope, y * -v_expm1(-x))

#endif
