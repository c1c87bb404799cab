/* x / (1 + |x| / bound). Its slope, 1 / (1 + |x| / bound)^2, has a kink at 0. */
#ifndef CF_FN

#include "ops/elementwise.h"
#include "ops/formula.h"

typedef struct {
    double inverse_bound;
} softclip_params;

#define CF_BODY "ops/softclip.c"
#include "simd/instantiate.h"

static cf_value slope_formula(cf_builder *b, const cf_node *node, const cf_value *operand) {
    const softclip_params *p = node->params;
    cf_value t = cf_scale_shift(b, cf_abs(b, operand[0]), p->inverse_bound, 1.0);
    return cf_divide(b, operand[1], cf_multiply(b, t, t));
}

static void softclip_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                const bool *needed, cf_value *dx) {
    (void)out;
    cf_formula_rule(b, node, slope_formula, dout, needed, dx);
}

static const cf_op softclip_slope_op = {
    .name = "softclip gradient",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(softclip_params),
    .elementwise = CF_VERSIONS(softclip_slope),
    .gradient = softclip_slope_rule,
};

static void softclip_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_elementwise_op(b, &softclip_slope_op, 2, (cf_value[]){node->operand[0], dout},
                              cf_params_of(node));
}

static const cf_op softclip_op = {
    .name = "softclip",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(softclip_params),
    .elementwise = CF_VERSIONS(softclip_value),
    .gradient = softclip_rule,
};

cf_value cf_softclip(cf_builder *b, cf_value x, double bound) {
    softclip_params params = {1.0 / bound};
    return cf_elementwise_op(b, &softclip_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_UNARY_WITH(softclip_params, softclip_value,
              x / v_fma(v_abs(x), CF_PARAM(inverse_bound), v_set1(1)))

static inline vreal CF_FN(softclip_slope_of)(vreal x, vreal inverse_bound) {
    vreal d = v_fma(v_abs(x), inverse_bound, v_set1(1));
    return v_set1(1) / (d * d);
}

CF_BINARY_WITH(softclip_params, softclip_slope,
               y *CF_FN(softclip_slope_of)(x, CF_PARAM(inverse_bound)))

#endif
