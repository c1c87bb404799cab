/* tanh(x). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/tanh.c"
#include "simd/instantiate.h"

static void tanh_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    (void)out;
    cf_value y = node->operand[0], dy = node->operand[1];
    if (needed[0])
        dx[0] = cf_multiply(b, cf_multiply(b, dout, dy), cf_scale(b, y, -2.0, 0.0));
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, y, dout);
}

static const cf_op tanh_slope_op = {
    .name = "tanh gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(tanh_slope),
    .gradient = tanh_slope_rule,
};

static void tanh_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    dx[0] = cf_binary_op(b, &tanh_slope_op, out, dout);
}

static const cf_op tanh_op = {
    .name = "tanh",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(tanh_value),
    .gradient = tanh_rule,
};

cf_value cf_tanh(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &tanh_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(tanh_value, v_tanh(x))

/* The slope, from the output x, times the cotangent y. */
CF_BINARY(tanh_slope, y *v_fma(-x, x, v_set1(1)))

#endif
