/* x Phi(x), the erf form (Hendrycks and Gimpel 2016, arXiv:1606.08415). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/gelu.c"
#include "simd/instantiate.h"

static void gelu_slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    (void)out;
    cf_value x = node->operand[0], dy = node->operand[1];
    if (needed[0]) {
        /* gelu'' = phi(x) (2 - x^2). */
        cf_value square = cf_multiply(b, x, x);
        cf_value phi =
            cf_scale(b, cf_exp(b, cf_scale(b, square, -0.5, 0.0)), 0.3989422804014327, 0.0);
        cf_value bend = cf_multiply(b, phi, cf_scale(b, square, -1.0, 2.0));
        dx[0] = cf_multiply(b, cf_multiply(b, dout, dy), bend);
    }
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, x, dout);
}

static const cf_op gelu_slope_op = {
    .name = "gelu gradient",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(gelu_slope),
    .gradient = gelu_slope_rule,
};

static void gelu_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_binary_op(b, &gelu_slope_op, node->operand[0], dout);
}

static const cf_op gelu_op = {
    .name = "gelu",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(gelu_value),
    .gradient = gelu_rule,
};

cf_value cf_gelu(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &gelu_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(gelu_value, x *v_normal_cdf(x))

/* The slope Phi(x) + x phi(x) at the input x, times the cotangent y. */
CF_BINARY(gelu_slope, y *v_fma(x, v_normal_pdf(x), v_normal_cdf(x)))

#endif
