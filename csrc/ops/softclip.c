/* x / (1 + |x| / bound), number[0] = 1 / bound. Its slope, 1 / (1 + |x| / bound)^2, has a kink at
 * 0. */
#ifndef CF_FN

#include "ops/elementwise.h"
#include "ops/formula.h"

#define CF_BODY "ops/softclip.c"
#include "simd/instantiate.h"

static cf_value slope_formula(cf_builder *b, const cf_node *node, const cf_value *operand) {
    cf_value t = cf_scale(b, cf_abs(b, operand[0]), node->attributes.number[0], 1.0);
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
    .elementwise = CF_VERSIONS(softclip_slope),
    .gradient = softclip_slope_rule,
};

static void softclip_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_elementwise_op(b, &softclip_slope_op, 2, (cf_value[]){node->operand[0], dout},
                              CF_PARAMS(&node->attributes));
}

static const cf_op softclip_op = {
    .name = "softclip",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(softclip_value),
    .gradient = softclip_rule,
};

cf_value cf_softclip(cf_builder *b, cf_value x, double bound) {
    cf_attributes attributes = {.number = {1.0 / bound}};
    return cf_elementwise_op(b, &softclip_op, 1, (cf_value[]){x}, CF_PARAMS(&attributes));
}

#else

#include "ops/elementwise.h"

CF_UNARY(softclip_value, x / v_fma(v_abs(x), CF_NUMBER(0), v_set1(1)))

static inline vreal CF_FN(softclip_slope_of)(vreal x, vreal inverse_bound) {
    vreal d = v_fma(v_abs(x), inverse_bound, v_set1(1));
    return v_set1(1) / (d * d);
}

CF_BINARY(softclip_slope, y *CF_FN(softclip_slope_of)(x, CF_NUMBER(0)))

#endif
