/* x where x > 0, else exp(x) - 1. The slope is 1, or y + 1 in the output y. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/elu.c"
#include "simd/instantiate.h"

static void elu_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx) {
    (void)out;
    /* The slope's own slope in y is 1 where y <= 0, and 0 elsewhere: dy less what relu lets
     * through. */
    cf_value y = node->operand[0], product = cf_multiply(b, dout, node->operand[1]);
    if (needed[0])
        dx[0] = cf_subtract(b, product, cf_relu_gradient(b, y, product));
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, y, dout);
}

static const cf_op elu_slope_op = {
    .name = "elu gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(elu_slope),
    .gradient = elu_slope_rule,
};

static void elu_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                     const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    dx[0] = cf_binary_op(b, &elu_slope_op, out, dout);
}

static const cf_op elu_op = {
    .name = "elu",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(elu_value),
    .gradient = elu_rule,
};

cf_value cf_elu(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &elu_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(elu_value, v_select(v_lt(v_set1(0), x), x, v_expm1(x)))

/* The slope, from the output x, times the cotangent y. */
CF_BINARY(elu_slope, v_select(v_lt(v_set1(0), x), y, y *(x + v_set1(1))))

#endif
