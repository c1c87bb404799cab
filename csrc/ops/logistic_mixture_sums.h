/* What the kernels of mixtures of logistic distributions share.
 *
 * With w_k the weights, not normalised, z_k = (x - mean_k) / scale_k and t_k = exp(-|z_k|), one
 * sweep over the components gives
 *
 *     below   = sum of w_k sigmoid(z_k)                    proportional to F
 *     above   = sum of w_k sigmoid(-z_k)                   proportional to 1 - F
 *     density = sum of w_k t_k / (1 + t_k)^2 / scale_k     proportional to dF/dx
 *
 * each as exp(its greatest exponent) times a sum that is neither large nor small, so that nothing
 * cancels, overflows or vanishes in either tail, nor in the gap between narrow components:
 *
 *     y = log(below / above),   dy/dx = density / below + density / above. */
#include "ops/feature_rows.h"
#include "simd/math.h"

#undef mixture_call
#undef mixture_parts
#undef mixture_share
#undef mixture_point
#undef MIXTURE_SHORT_STEP
#undef MIXTURE_MIN_EXPONENT
#undef MIXTURE_FLATTEST
#define mixture_call CF_FN(cf_mixture_call)
#define mixture_parts CF_FN(cf_mixture_parts)
#define mixture_share CF_FN(cf_mixture_share)
#define mixture_point CF_FN(cf_mixture_point)

/* In units of the minimum scale: half the square root of rounding. The flattest slope by which a
 * gradient is divided, as an exponent: where F is flat to rounding, 1 / (dy/dx) could overflow. */
#ifdef CF_REAL_F32
#define MIXTURE_SHORT_STEP 1.2e-4f
#define MIXTURE_MIN_EXPONENT -3e38f
#define MIXTURE_FLATTEST -60
#else
#define MIXTURE_SHORT_STEP 5e-9
#define MIXTURE_MIN_EXPONENT -1e308
#define MIXTURE_FLATTEST -600
#endif

/* What all features have in common. */
typedef struct {
    const cf_call *call;
    bool inverse;
    int components;
    size_t features;
    real first, step; /* means where the unconstrained ones are 0 */
    real clip;
} mixture_call;

/* The mixture of one feature. */
typedef struct {
    int components;
    vreal logit[CF_MAX_COMPONENTS]; /* of the weight, less that of the greatest */
    vreal mean[CF_MAX_COMPONENTS], rate[CF_MAX_COMPONENTS]; /* rate = 1 / scale */
} mixture_parts;

/* What a component adds to each sum, and sigmoid(-z) - sigmoid(z). */
typedef struct {
    vreal below, above, density, turn;
} mixture_share;

/* The sums at a point, each to be multiplied by exp(its exponent). */
typedef struct {
    vreal below, above, density;
    vreal below_exponent, above_exponent, density_exponent;
    vreal slope_below, slope_above; /* density / below and density / above: d log(F) / dx and
                                       -d log(1 - F) / dx */
} mixture_point;

static inline mixture_call CF_FN(mixture_open)(const cf_call *call) {
    const cf_mixture_params *p = call->step->node->params;
    int components = p->components;
    double spread = components > 1 ? p->spread : 0.0;
    return (mixture_call){.call = call,
                          .inverse = p->inverse,
                          .components = components,
                          .features = call->step->operand[0].size,
                          .first = (real)-spread,
                          .step = (real)(components > 1 ? 2.0 * spread / (components - 1) : 0.0),
                          .clip = (real)p->inverse_bound};
}

/* Unconstrained parameter p of feature f. */
CF_INLINE vreal CF_FN(mixture_param)(const mixture_call *s, size_t f, int p, size_t lane) {
    return v_load(cf_feature_row(s->call, 1, (size_t)p * s->features + f) + lane);
}

CF_INLINE void CF_FN(mixture_load)(const mixture_call *s, size_t f, size_t lane, mixture_parts *m) {
    vreal one = v_set1(1), max = CF_FN(mixture_param)(s, f, 0, lane);
    m->components = s->components;
    for (int k = 1; k < s->components; k++)
        max = v_max(CF_FN(mixture_param)(s, f, k, lane), max);
    for (int k = 0; k < s->components; k++) {
        vreal params = CF_FN(mixture_param)(s, f, 2 * s->components + k, lane);
        vreal start = v_set1(s->first + (real)k * s->step);
        m->logit[k] = CF_FN(mixture_param)(s, f, k, lane) - max;
        m->mean[k] = CF_FN(mixture_param)(s, f, s->components + k, lane) + start;
        m->rate[k] = v_exp(-params / v_fma(v_abs(params), v_set1(s->clip), one));
    }
}

/* The sums at x; each[k], unless NULL, is what component k adds. */
CF_INLINE mixture_point CF_FN(mixture_at)(const mixture_parts *m, vreal x, mixture_share *each) {
    vreal zero = v_set1(0), one = v_set1(1), min = v_set1(MIXTURE_MIN_EXPONENT);
    mixture_point p = {.below = zero, .above = zero, .density = zero};
    p.below_exponent = p.above_exponent = p.density_exponent = min;
    for (int k = 0; k < m->components; k++) {
        vreal z = (x - m->mean[k]) * m->rate[k], logit = m->logit[k];
        p.below_exponent = v_max(p.below_exponent, logit + v_min(zero, z));
        p.above_exponent = v_max(p.above_exponent, logit - v_max(zero, z));
        p.density_exponent = v_max(p.density_exponent, logit - v_abs(z));
    }
    vreal to_below = v_exp(p.density_exponent - p.below_exponent);
    vreal to_above = v_exp(p.density_exponent - p.above_exponent);
    for (int k = 0; k < m->components; k++) {
        vreal z = (x - m->mean[k]) * m->rate[k], size = v_abs(z);
        vmask left = v_lt(z, zero);
        vreal t = v_exp(-size), sigmoid = one / (one + t); /* of |z| */
        vreal exponent = v_select(left, p.above_exponent, p.below_exponent);
        vreal near = v_exp(m->logit[k] - exponent) * sigmoid;
        vreal far = v_exp(m->logit[k] - size - p.density_exponent) * sigmoid;
        vreal turn = (one - t) * sigmoid;
        mixture_share share = {.below = v_select(left, far * to_below, near),
                               .above = v_select(left, near, far * to_above),
                               .density = far * sigmoid * m->rate[k],
                               .turn = v_select(left, turn, -turn)};
        p.below = p.below + share.below;
        p.above = p.above + share.above;
        p.density = p.density + share.density;
        if (each != NULL)
            each[k] = share;
    }
    p.slope_below = to_below * (p.density / p.below);
    p.slope_above = to_above * (p.density / p.above);
    return p;
}

CF_INLINE vreal CF_FN(mixture_logit)(const mixture_point *p) {
    return (p->below_exponent - p->above_exponent) + v_log(p->below / p->above);
}

/* The sum of the weights: one of the two exponents is 0. */
CF_INLINE vreal CF_FN(mixture_total)(const mixture_point *p, vreal *below, vreal *above) {
    *below = v_exp(p->below_exponent) * p->below;
    *above = v_exp(p->above_exponent) * p->above;
    return *below + *above;
}

/* log(dy/dx), which is finite where dy/dx is 0 after rounding. */
CF_INLINE vreal CF_FN(mixture_log_slope)(const mixture_point *p) {
    vreal below, above, total = CF_FN(mixture_total)(p, &below, &above);
    vreal exponent = p->density_exponent - p->below_exponent - p->above_exponent;
    return exponent + v_log(p->density / p->below * (total / p->above));
}
