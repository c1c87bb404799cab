/* The normal distribution far out, by logarithms: of the distribution function Phi(x), of the
 * hazard phi(x) / Phi(x), and x of log(Phi(x)). The hazard is close to -x in the left tail, where
 * what it has more, the excess, counts. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/log_normal.c"
#include "simd/instantiate.h"

/* d excess / dx = 1 - hazard excess. */
static void excess_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    cf_value hazard = cf_exp(b, cf_log_normal_hazard(b, node->operand[0]));
    (void)needed;
    dx[0] = cf_multiply(b, dout, cf_scale_shift(b, cf_multiply(b, hazard, out), -1.0, 1.0));
}

static const cf_op excess_op = {
    .name = "excess of the normal hazard",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(normal_excess),
    .gradient = excess_rule,
};

/* d log(hazard) / dx = -excess. */
static void hazard_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    cf_value excess = cf_unary_op(b, &excess_op, node->operand[0]);
    dx[0] = cf_multiply(b, cf_scale_shift(b, dout, -1.0, 0.0), excess);
}

static const cf_op hazard_op = {
    .name = "log_normal_hazard",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(log_normal_hazard),
    .gradient = hazard_rule,
};

static void cdf_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                     const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_multiply(b, dout, cf_exp(b, cf_log_normal_hazard(b, node->operand[0])));
}

static const cf_op cdf_op = {
    .name = "log_normal_cdf",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(log_normal_cdf),
    .gradient = cdf_rule,
};

static void quantile_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    cf_value minus = cf_scale_shift(b, cf_log_normal_hazard(b, out), -1.0, 0.0);
    dx[0] = cf_multiply(b, dout, cf_exp(b, minus));
}

static const cf_op quantile_op = {
    .name = "normal_quantile_of_log",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(normal_quantile_of_log),
    .gradient = quantile_rule,
};

cf_value cf_log_normal_cdf(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &cdf_op, x);
}

cf_value cf_log_normal_hazard(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &hazard_op, x);
}

cf_value cf_normal_quantile_of_log(cf_builder *b, cf_value log_probability) {
    return cf_unary_op(b, &quantile_op, log_probability);
}

#else

#include "ops/elementwise.h"

#undef log_normal
#undef LOG_NORMAL_FAR
#undef LOG_NORMAL_TERMS
#undef LOG_NORMAL_STEPS
#undef LOG_NORMAL_MAX
#define log_normal CF_FN(cf_log_normal)

/* From where on the continued fraction is used, of so many terms; Halley's steps of the quantile;
 * the largest logarithm of a finite number's probability. */
#ifdef CF_REAL_F32
#define LOG_NORMAL_FAR 6
#define LOG_NORMAL_TERMS 7
#define LOG_NORMAL_STEPS 1
#define LOG_NORMAL_MAX 2e38f
#else
#define LOG_NORMAL_FAR 12
#define LOG_NORMAL_TERMS 10
#define LOG_NORMAL_STEPS 2
#define LOG_NORMAL_MAX 9e307
#endif

typedef struct {
    vreal log_cdf, log_hazard, excess;
} log_normal;

/* With a = |x|, the hazard at -a is one over Mills' ratio at a: near, by its curve (math_normal.h);
 * far out a + 1 / (a + 2 / (a + 3 / (a + ...))), whose second term is the excess. A finite number's
 * log(Phi) is finite, however far out it lies: all are then equal. */
CF_INLINE log_normal CF_FN(log_normal_at)(vreal x) {
    const vreal zero = v_set1(0), one = v_set1(1), far = v_set1(LOG_NORMAL_FAR);
    const vreal log_root = v_set1((real)0.9189385332046727); /* log(2 pi) / 2 */
    vreal a = v_abs(x), z = v_min(far, a), three_halves = v_set1((real)1.5);
    vreal curve = v_normal_curve(z, one / (z + v_set1(4)));
    vreal near = (z + three_halves) * v_exp(-curve) * v_set1((real)0.6383076486422924);
    vreal fraction = zero;
    for (int k = LOG_NORMAL_TERMS; k >= 1; k--)
        fraction = v_set1((real)k) / (a + fraction);
    vmask is_near = v_lt(a, far);
    vreal hazard = v_select(is_near, near, a + fraction);
    vreal excess = v_select(is_near, near - a, fraction);
    vreal log_hazard = v_log(hazard), half = a * v_set1((real)0.5) * a;
    vreal left = -half - log_root - log_hazard;
    left = v_select(v_lt(a, v_set1((real)INFINITY)), v_max(v_set1(-LOG_NORMAL_MAX), left), left);
    vreal right = v_log1p(-v_exp(left)), log_right = -half - log_root - right;
    vmask is_right = v_lt(zero, x);
    return (log_normal){v_select(is_right, right, left), v_select(is_right, log_right, log_hazard),
                        v_select(is_right, v_exp(log_right) + a, excess)};
}

/* Abramowitz and Stegun 26.2.23, wrong by less than 4.5e-4, then Halley's method on log(Phi): its
 * slope is the hazard, and the logarithm of that has the slope -excess. */
CF_INLINE vreal CF_FN(normal_quantile)(vreal y) {
    vreal one = v_set1(1), t = v_set1((real)1.4142135623730951) * v_sqrt(-y);
    vreal s = v_min(v_set1(1e6), t);
    vreal n =
        v_fma(v_fma(v_set1((real)0.010328), s, v_set1((real)0.802853)), s, v_set1((real)2.515517));
    vreal d = v_fma(v_set1((real)0.001308), s, v_set1((real)0.189269));
    d = v_fma(v_fma(d, s, v_set1((real)1.432788)), s, one);
    vreal x = n / d - t;
    for (int k = 0; k < LOG_NORMAL_STEPS; k++) {
        log_normal at = CF_FN(log_normal_at)(x);
        vreal step = (at.log_cdf - y) * v_exp(-at.log_hazard);
        x = x - step / v_fma(step * v_set1((real)0.5), at.excess, one);
    }
    return v_select(v_lt(t, v_set1((real)INFINITY)), x, -t);
}

CF_UNARY(log_normal_cdf, CF_FN(log_normal_at)(x).log_cdf)
CF_UNARY(log_normal_hazard, CF_FN(log_normal_at)(x).log_hazard)
CF_UNARY(normal_excess, CF_FN(log_normal_at)(x).excess)
CF_UNARY(normal_quantile_of_log, CF_FN(normal_quantile)(x))

#endif
