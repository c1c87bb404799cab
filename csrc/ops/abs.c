/* |x|. The slope at 0 is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/abs.c"
#include "simd/instantiate.h"

static void abs_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx) {
    (void)out;
    /* The slope is piecewise constant: nothing reaches x. */
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, node->operand[0], dout);
}

static const cf_op abs_slope_op = {
    .name = "abs gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(abs_slope),
    .gradient = abs_slope_rule,
};

static void abs_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                     const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_binary_op(b, &abs_slope_op, node->operand[0], dout);
}

static const cf_op abs_op = {
    .name = "abs",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(abs_value),
    .gradient = abs_rule,
};

cf_value cf_abs(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &abs_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(abs_value, v_abs(x))

/* The slope at the input x, times the cotangent y. */
CF_BINARY(abs_slope, v_select(v_lt(x, v_set1(0)), -y, v_select(v_lt(v_set1(0), x), y, v_set1(0))))

#endif
