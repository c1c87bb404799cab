/* max(x, 0). The slope at 0 is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/relu.c"
#include "simd/instantiate.h"

static void relu_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    (void)out;
    /* The slope is piecewise constant: nothing reaches the output's cotangent. */
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, node->operand[0], dout);
}

static const cf_op relu_slope_op = {
    .name = "relu gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(relu_slope),
    .gradient = relu_slope_rule,
};

static void relu_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    dx[0] = cf_binary_op(b, &relu_slope_op, out, dout);
}

static const cf_op relu_op = {
    .name = "relu",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(relu_value),
    .gradient = relu_rule,
};

bool cf_relu_follows(const cf_step *step) {
    return step->epilogue != NULL && step->epilogue->node->op == &relu_op;
}

cf_value cf_relu(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &relu_op, x);
}

cf_value cf_relu_gradient(cf_builder *b, cf_value y, cf_value dy) {
    return cf_binary_op(b, &relu_slope_op, y, dy);
}

#else

#include "ops/elementwise.h"

CF_UNARY(relu_value, v_select(v_le(x, v_set1(0)), v_set1(0), x))

/* The slope, from the output x, times the cotangent y. */
CF_BINARY(relu_slope, v_select(v_le(x, v_set1(0)), v_set1(0), y))

#endif
