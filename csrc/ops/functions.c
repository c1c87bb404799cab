/* The functions of function_list.h: each an elementwise op, and one for its gradient. */
#ifndef CF_FN

#include "ops/ops.h"

#include "ops/elementwise.h"

#define CF_BODY "ops/functions.c"
#include "simd/instantiate.h"

typedef struct {
    cf_op op, gradient;     /* the gradient's operands: x or the value, and the cotangent */
    enum { OF_X, OF_Y } of; /* which */
    /* The slope's own slope in that operand; CF_NO_VALUE stands for 1, NULL for 0. */
    cf_value (*bend)(cf_builder *b, cf_value x);
} function;

/* ---- slopes of slopes ---- */

static cf_value one(cf_builder *b, cf_value y) {
    (void)b;
    (void)y;
    return CF_NO_VALUE;
}

/* -1 / x^2 */
static cf_value log_bend(cf_builder *b, cf_value x) {
    return cf_divide(b, cf_constant(b, CF_UNBATCHED, 1, -1.0), cf_multiply(b, x, x));
}

static cf_value log1p_bend(cf_builder *b, cf_value x) {
    return log_bend(b, cf_scale_shift(b, x, 1.0, 1.0));
}

/* The slope is 1 / (2 y). */
static cf_value sqrt_bend(cf_builder *b, cf_value y) {
    return cf_divide(b, cf_constant(b, CF_UNBATCHED, 1, -0.5), cf_multiply(b, y, y));
}

static cf_value tanh_bend(cf_builder *b, cf_value y) {
    return cf_scale_shift(b, y, -2.0, 0.0);
}

static cf_value sigmoid_bend(cf_builder *b, cf_value y) {
    return cf_scale_shift(b, y, -2.0, 1.0);
}

/* The slope is 1 - exp(-y). */
static cf_value softplus_bend(cf_builder *b, cf_value y) {
    return cf_exp(b, cf_scale_shift(b, y, -1.0, 0.0));
}

/* The slope is 1, or y + 1 where y is not positive. */
static cf_value elu_bend(cf_builder *b, cf_value y) {
    return cf_greater_equal(b, cf_scale_shift(b, y, -1.0, 0.0), 0.0);
}

/* s (1 - s) (2 + x (1 - 2 s)) with s = sigmoid(x) */
static cf_value silu_bend(cf_builder *b, cf_value x) {
    cf_value s = cf_sigmoid(b, x);
    cf_value bell = cf_multiply(b, s, cf_scale_shift(b, s, -1.0, 1.0));
    cf_value bend = cf_scale_shift(b, cf_multiply(b, x, cf_scale_shift(b, s, -2.0, 1.0)), 1.0, 2.0);
    return cf_multiply(b, bell, bend);
}

/* phi(x) (2 - x^2) */
static cf_value gelu_bend(cf_builder *b, cf_value x) {
    cf_value square = cf_multiply(b, x, x);
    cf_value phi =
        cf_scale_shift(b, cf_exp(b, cf_scale_shift(b, square, -0.5, 0.0)), 0.3989422804014327, 0.0);
    return cf_multiply(b, phi, cf_scale_shift(b, square, -1.0, 2.0));
}

/* The slope is 1 / cosh(y): with e = exp(-2 |y|), -sinh(y) / cosh(y)^2 = -tanh(y) 2 exp(-|y|) /
 * (1 + e). */
static cf_value asinh_bend(cf_builder *b, cf_value y) {
    cf_value falls = cf_exp(b, cf_scale_shift(b, cf_abs(b, y), -1.0, 0.0));
    cf_value twice_cosh = cf_scale_shift(b, cf_multiply(b, falls, falls), 1.0, 1.0);
    cf_value slope = cf_divide(b, cf_scale_shift(b, falls, -2.0, 0.0), twice_cosh);
    return cf_multiply(b, cf_tanh(b, y), slope);
}

/* ---- rules ---- */

static void gradient_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    const char *gradient = (const char *)node->op;
    const function *f = (const void *)(gradient - offsetof(function, gradient));
    cf_value x = node->operand[0];
    (void)out;
    if (needed[0] && f->bend != NULL) {
        cf_value bend = f->bend(b, x);
        dx[0] = cf_multiply(b, dout, node->operand[1]);
        if (!cf_is_none(bend))
            dx[0] = cf_multiply(b, dx[0], bend);
    }
    if (needed[1])
        dx[1] = cf_binary_op(b, node->op, x, dout);
}

static void rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                 const bool *needed, cf_value *dx) {
    const function *f = (const void *)node->op; /* its first member */
    (void)needed;
    dx[0] = cf_binary_op(b, &f->gradient, f->of == OF_Y ? out : node->operand[0], dout);
}

/* ---- tables ---- */

static const function functions[] = {
#define CF_FUNCTION(name, value, of, slope, bend, doc)                                             \
    {{#name, CF_OP_ELEMENTWISE, .elementwise = CF_VERSIONS(name##_value), .gradient = rule},       \
     {#name " gradient", CF_OP_ELEMENTWISE, .elementwise = CF_VERSIONS(name##_slope),              \
      .gradient = gradient_rule},                                                                  \
     of,                                                                                           \
     bend},
#include "ops/function_list.h"
#undef CF_FUNCTION
};

enum {
#define CF_FUNCTION(name, value, of, slope, bend, doc) name##_index,
#include "ops/function_list.h"
#undef CF_FUNCTION
};

#define CF_FUNCTION(name, value, of, slope, bend, doc)                                             \
    cf_value cf_##name(cf_builder *b, cf_value x) {                                                \
        return cf_unary_op(b, &functions[name##_index].op, x);                                     \
    }
#include "ops/function_list.h"
#undef CF_FUNCTION

bool cf_relu_follows(const cf_step *step) {
    return step->epilogue != NULL && step->epilogue->node->op == &functions[relu_index].op;
}

#else

#include "ops/elementwise.h"

/* log(a + sqrt(a^2 + 1)) for a = |x| as log1p(a + (sqrt(a^2 + 1) - 1)), the difference without
 * cancellation and without squares that overflow. */
CF_INLINE vreal CF_FN(asinh_of)(vreal x) {
    vreal a = v_abs(x), r = v_set1(1) / a;
    vreal excess = a / (r + v_sqrt(v_fma(r, r, v_set1(1))));
    return v_with_sign(v_log1p(a + excess), x);
}

/* Near 0 without cancellation; far out in two factors, of which neither overflows. */
CF_INLINE vreal CF_FN(sinh_of)(vreal x) {
    vreal a = v_abs(x), half = v_set1((real)0.5), root = v_exp(half * a);
    vreal small = half * (v_expm1(a) - v_expm1(-a)), large = half * root * root;
    return v_with_sign(v_select(v_lt(a, v_set1(20)), small, large), x);
}

/* y cosh(x) */
CF_INLINE vreal CF_FN(sinh_slope_at)(vreal x, vreal y) {
    vreal root = v_exp(v_set1((real)0.5) * v_abs(x)), r = v_set1(1) / root;
    return y * (v_set1((real)0.5) * root * (root + r * r * r));
}

/* y / cosh(x) */
CF_INLINE vreal CF_FN(asinh_slope_at)(vreal x, vreal y) {
    return v_fma(v_set1(2), y, v_set1(0)) / (v_exp(x) + v_exp(-x));
}

/* s (1 + x (1 - s)) with s = sigmoid(x) */
CF_INLINE vreal CF_FN(silu_slope_at)(vreal x) {
    vreal s = v_sigmoid(x);
    return s * v_fma(x, v_set1(1) - s, v_set1(1));
}

/* y times the sign of x, 0 if x is 0. */
CF_INLINE vreal CF_FN(with_sign_of)(vreal x, vreal y) {
    vreal zero = v_set1(0);
    return v_select(v_lt(x, zero), -y, v_select(v_lt(zero, x), y, zero));
}

#define CF_FUNCTION(name, value, of, slope, bend, doc)                                             \
    CF_UNARY(name##_value, value)                                                                  \
    CF_BINARY(name##_slope, slope)
#include "ops/function_list.h"
#undef CF_FUNCTION

#endif
