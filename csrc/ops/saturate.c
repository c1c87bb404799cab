/* x, or where its square would overflow, the number of its sign from where on it does: products
 * with it are finite, and its square is infinite. NaN stays NaN. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/saturate.c"
#include "simd/instantiate.h"

static void unsaturated_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    (void)out;
    if (needed[0])
        dx[0] = cf_scale_shift(b, dout, 0.0, 0.0);
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, node->operand[0], dout);
}

static const cf_op unsaturated_op = {
    .name = "saturate gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(unsaturated),
    .gradient = unsaturated_rule,
};

static void saturate_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_binary_op(b, &unsaturated_op, node->operand[0], dout);
}

static const cf_op saturate_op = {
    .name = "saturate",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(saturate),
    .gradient = saturate_rule,
};

cf_value cf_saturate(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &saturate_op, x);
}

#else

#include "ops/elementwise.h"

/* Slightly above the square root of the largest number. */
#define LIMIT v_set1(sizeof(real) == 4 ? (real)1.9e19 : (real)1.4e154)

/* The data come second: v_min and v_max give their second argument where either is NaN. */
CF_UNARY(saturate, v_min(LIMIT, v_max(-LIMIT, x)))

/* y where |x| < LIMIT, else 0. */
CF_BINARY(unsaturated, v_select(v_and(v_lt(-LIMIT, x), v_lt(x, LIMIT)), y, v_set1(0)))

#undef LIMIT

#endif
