/* 1 / (1 + exp(-x)). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/sigmoid.c"
#include "simd/instantiate.h"

static void sigmoid_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                               const bool *needed, cf_value *dx) {
    (void)out;
    cf_value y = node->operand[0], dy = node->operand[1];
    if (needed[0])
        dx[0] = cf_multiply(b, cf_multiply(b, dout, dy), cf_scale(b, y, -2.0, 1.0));
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, y, dout);
}

static const cf_op sigmoid_slope_op = {
    .name = "sigmoid gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(sigmoid_slope),
    .gradient = sigmoid_slope_rule,
};

static void sigmoid_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    dx[0] = cf_binary_op(b, &sigmoid_slope_op, out, dout);
}

static const cf_op sigmoid_op = {
    .name = "sigmoid",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(sigmoid_value),
    .gradient = sigmoid_rule,
};

cf_value cf_sigmoid(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &sigmoid_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(sigmoid_value, v_sigmoid(x))

/* The slope, from the output x, times the cotangent y. */
CF_BINARY(sigmoid_slope, y *(x *(v_set1(1) - x)))

#endif
