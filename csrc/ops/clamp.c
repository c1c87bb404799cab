/* min(max(x, low), high); NaN stays NaN. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double low, high;
} clamp_params;

#define CF_BODY "ops/clamp.c"
#include "simd/instantiate.h"

static void inside_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    (void)out;
    if (needed[0])
        dx[0] = cf_scale_shift(b, dout, 0.0, 0.0);
    if (needed[1])
        dx[1] = cf_elementwise_op(b, node->op, 2, (cf_value[]){node->operand[0], dout},
                                  cf_params_of(node));
}

static const cf_op inside_op = {
    .name = "clamp gradient",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(clamp_params),
    .elementwise = CF_VERSIONS(inside),
    .gradient = inside_rule,
};

static void clamp_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_elementwise_op(b, &inside_op, 2, (cf_value[]){node->operand[0], dout},
                              cf_params_of(node));
}

static const cf_op clamp_op = {
    .name = "clamp",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(clamp_params),
    .elementwise = CF_VERSIONS(clamp),
    .gradient = clamp_rule,
};

cf_value cf_clamp(cf_builder *b, cf_value x, double low, double high) {
    clamp_params params = {low, high};
    return cf_elementwise_op(b, &clamp_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

/* The data come second: v_min and v_max give their second argument where either is NaN. */
CF_UNARY_WITH(clamp_params, clamp, v_min(CF_PARAM(high), v_max(CF_PARAM(low), x)))

/* y where low <= x <= high, else 0. */
CF_BINARY_WITH(clamp_params, inside,
               v_select(v_and(v_le(CF_PARAM(low), x), v_le(x, CF_PARAM(high))), y, v_set1(0)))

#endif
