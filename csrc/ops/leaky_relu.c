/* x where x > 0, else slope x. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double slope; /* > 0 */
} leaky_relu_params;

#define CF_BODY "ops/leaky_relu.c"
#include "simd/instantiate.h"

static void leaky_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    (void)out;
    if (needed[1])
        dx[1] = cf_elementwise_op(b, node->op, 2, (cf_value[]){node->operand[0], dout},
                                  cf_params_of(node));
}

static const cf_op leaky_slope_op = {
    .name = "leaky_relu gradient",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(leaky_relu_params),
    .elementwise = CF_VERSIONS(leaky_slope),
    .gradient = leaky_slope_rule,
};

static void leaky_relu_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    (void)needed;
    dx[0] = cf_elementwise_op(b, &leaky_slope_op, 2, (cf_value[]){out, dout}, cf_params_of(node));
}

static const cf_op leaky_relu_op = {
    .name = "leaky_relu",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(leaky_relu_params),
    .elementwise = CF_VERSIONS(leaky_relu_value),
    .gradient = leaky_relu_rule,
};

cf_value cf_leaky_relu(cf_builder *b, cf_value x, double slope) {
    leaky_relu_params params = {slope};
    return cf_elementwise_op(b, &leaky_relu_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_UNARY_WITH(leaky_relu_params, leaky_relu_value,
              v_select(v_lt(v_set1(0), x), x, x *CF_PARAM(slope)))

/* The slope, from the sign of the output x, times the cotangent y. */
CF_BINARY_WITH(leaky_relu_params, leaky_slope, v_select(v_lt(v_set1(0), x), y, y *CF_PARAM(slope)))

#endif
