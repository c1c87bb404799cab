/* y = logit(F(x)), F the distribution function of a mixture of K logistic distributions, with its
 * log-determinant (Ho et al. 2019, Flow++, arXiv:1902.00275, equation 17): operands x [F] and raw
 * [3 K F], the output is y [F] and the log_det. integer[0]: inverse; [1]: K. number[0]: spread of
 * the means; [1]: 1 / bound of log-scales.
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
 *     y = log(below / above),   dy/dx = density / below + density / above.
 *
 * Inverted, the root lies between the least and the greatest of mean_k + scale_k y, where every
 * component's own F_k is below or above sigmoid(y). It is found by Newton's method, with bisection
 * where a step leaves the bracket or is not half as long as the one before. |d log(dy/dx) / dx| is
 * at most 2 / (least scale), so that a short step leaves an error of its square: the last one taken
 * is the first that makes this less than rounding. */
#ifndef CF_FN

#include <math.h>

#include "ops/logistic_mixture.h"
#include "ops/rows.h"

#define CF_BODY "ops/logistic_mixture.c"
#include "simd/instantiate.h"

static const cf_op logistic_mixture_gradient_op = {
    .name = "logistic mixture gradient",
    .kernel = CF_VERSIONS(logistic_mixture_gradient),
    .gradient = cf_logistic_mixture_gradient_rule,
};

/* Both directions have their gradient at x: that of the inverse is by the implicit function
 * theorem, dx = -(what y changes by) / (dy/dx). Nothing is solved again. */
static void logistic_mixture_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                  const bool *needed, cf_value *dx) {
    size_t features = node->operand_size[0], raw = node->operand_size[1];
    bool inverse = node->attributes.integer[0] != 0;
    cf_value x = inverse ? cf_slice(b, out, 0, features) : node->operand[0];
    cf_value operands[3] = {x, node->operand[1], dout};
    (void)needed;
    cf_value both = cf_emit(b, &logistic_mixture_gradient_op, CF_ROW, features + raw, 3, operands,
                            &node->attributes);
    dx[0] = cf_slice(b, both, 0, features);
    dx[1] = cf_slice(b, both, features, raw);
}

static const cf_op logistic_mixture_op = {
    .name = "logistic mixture",
    .kernel = CF_VERSIONS(logistic_mixture),
    .gradient = logistic_mixture_rule,
};

cf_value cf_logistic_mixture_map(cf_builder *b, const cf_logistic_mixture *mixture, cf_value x,
                                 cf_value raw, bool inverse, cf_value *log_det) {
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_value_size(b, x), numbers = 3 * (size_t)mixture->components;
    if (cf_value_size(b, raw) != features * numbers)
        return cf_builder_fail(b, CF_INVALID,
                               "logistic mixture: %zu features with %zu raw numbers, not %zu",
                               features, cf_value_size(b, raw), features * numbers);
    cf_value operands[2] = {x, cf_broadcast(b, raw)};
    cf_attributes attributes = {.integer = {inverse, mixture->components},
                                .number = {mixture->spread, -1.0 / log(mixture->least_scale)}};
    cf_value out = cf_emit(b, &logistic_mixture_op, CF_ROW, features + 1, 2, operands, &attributes);
    *log_det = cf_slice(b, out, features, 1);
    return cf_slice(b, out, 0, features);
}

#else

#include "ops/rows.h"
#include "simd/math.h"

#undef mixture_call
#undef mixture_parts
#undef mixture_share
#undef mixture_point
#undef MIXTURE_STEPS
#undef MIXTURE_SHORT_STEP
#undef MIXTURE_LEAST_EXPONENT
#undef MIXTURE_FLATTEST
#define mixture_call CF_FN(cf_mixture_call)
#define mixture_parts CF_FN(cf_mixture_parts)
#define mixture_share CF_FN(cf_mixture_share)
#define mixture_point CF_FN(cf_mixture_point)

/* More than are ever taken: 4 to 5 as a rule, and up to 150 where raw means are 1e30. */
#define MIXTURE_STEPS 300

/* In units of the least scale: half the square root of rounding. The flattest slope by which a
 * gradient is divided, as an exponent: where F is flat to rounding, 1 / (dy/dx) could overflow. */
#ifdef CF_REAL_F32
#define MIXTURE_SHORT_STEP 1.2e-4f
#define MIXTURE_LEAST_EXPONENT -3e38f
#define MIXTURE_FLATTEST -60
#else
#define MIXTURE_SHORT_STEP 5e-9
#define MIXTURE_LEAST_EXPONENT -1e308
#define MIXTURE_FLATTEST -600
#endif

/* What all features have in common. */
typedef struct {
    const cf_call *call;
    bool inverse;
    int components;
    size_t features;
    real first, step; /* means where the raw ones are 0 */
    real clip;
} mixture_call;

/* The mixture of one feature. */
typedef struct {
    int components;
    vreal logit[CF_MOST_COMPONENTS]; /* of the weight, less that of the greatest */
    vreal mean[CF_MOST_COMPONENTS], rate[CF_MOST_COMPONENTS]; /* rate = 1 / scale */
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
    const cf_attributes *at = &call->step->node->attributes;
    int components = (int)at->integer[1];
    double spread = components > 1 ? at->number[0] : 0.0;
    return (mixture_call){.call = call,
                          .inverse = at->integer[0] != 0,
                          .components = components,
                          .features = call->step->operand[0].size,
                          .first = (real)-spread,
                          .step = (real)(components > 1 ? 2.0 * spread / (components - 1) : 0.0),
                          .clip = (real)at->number[1]};
}

/* Raw number p of feature f. */
CF_INLINE vreal CF_FN(mixture_raw)(const mixture_call *s, size_t f, int p, size_t lane) {
    return v_load(cf_row(s->call, 1, (size_t)p * s->features + f) + lane);
}

/* Where its cotangent goes. */
CF_INLINE void CF_FN(mixture_draw)(const mixture_call *s, size_t f, int p, size_t lane, vreal d) {
    size_t row = s->features + (size_t)p * s->features + f;
    v_store((real *)s->call->out + row * s->call->lanes + lane, d);
}

CF_INLINE void CF_FN(mixture_load)(const mixture_call *s, size_t f, size_t lane, mixture_parts *m) {
    vreal one = v_set1(1), most = CF_FN(mixture_raw)(s, f, 0, lane);
    m->components = s->components;
    for (int k = 1; k < s->components; k++)
        most = v_max(CF_FN(mixture_raw)(s, f, k, lane), most);
    for (int k = 0; k < s->components; k++) {
        vreal raw = CF_FN(mixture_raw)(s, f, 2 * s->components + k, lane);
        vreal start = v_set1(s->first + (real)k * s->step);
        m->logit[k] = CF_FN(mixture_raw)(s, f, k, lane) - most;
        m->mean[k] = CF_FN(mixture_raw)(s, f, s->components + k, lane) + start;
        m->rate[k] = v_exp(-raw / v_fma(v_abs(raw), v_set1(s->clip), one));
    }
}

/* The sums at x; each[k], unless NULL, is what component k adds. */
CF_INLINE mixture_point CF_FN(mixture_at)(const mixture_parts *m, vreal x, mixture_share *each) {
    vreal zero = v_set1(0), one = v_set1(1), least = v_set1(MIXTURE_LEAST_EXPONENT);
    mixture_point p = {.below = zero, .above = zero, .density = zero};
    p.below_exponent = p.above_exponent = p.density_exponent = least;
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

/* x of y. Each lane stops for itself: what its neighbours hold changes no bit. */
CF_INLINE vreal CF_FN(mixture_solve)(const mixture_parts *m, vreal y) {
    vreal one = v_set1(1), half = v_set1((real)0.5);
    vreal low, high, x, least, weight = v_exp(m->logit[0]), sum = weight;
    least = one / m->rate[0];
    low = high = v_fma(least, y, m->mean[0]);
    x = weight * low;
    for (int k = 1; k < m->components; k++) {
        vreal scale = one / m->rate[k], own = v_fma(scale, y, m->mean[k]);
        weight = v_exp(m->logit[k]);
        sum = sum + weight;
        x = v_fma(weight, own, x);
        low = v_min(low, own);
        high = v_max(high, own);
        least = v_min(least, scale);
    }
    x = v_min(high, v_max(low, x / sum));
    vreal before = high - low, shortest = least * v_set1(MIXTURE_SHORT_STEP);
    vmask goes_on = v_and(v_lt(low, high), v_eq(x, x)); /* NaN stays */
    for (int i = 0; i < MIXTURE_STEPS && v_any(goes_on); i++) {
        mixture_point p = CF_FN(mixture_at)(m, x, NULL);
        vreal error = CF_FN(mixture_logit)(&p) - y;
        vmask left = v_le(error, v_set1(0)), right = v_le(v_set1(0), error);
        low = v_select(left, x, low);
        high = v_select(right, x, high);
        vreal newton = x - error / (p.slope_below + p.slope_above);
        vmask last = v_le(v_abs(newton - x), shortest);
        vmask good = v_le(v_abs(newton - x), half * before);
        good = v_and(good, v_and(v_lt(low, newton), v_lt(newton, high)));
        vreal next = v_select(good, newton, v_fma(half, high - low, low));
        next = v_select(last, v_min(high, v_max(low, newton)), next);
        before = v_abs(next - x);
        vmask between = v_and(v_lt(low, next), v_lt(next, high));
        vmask moves = v_and(goes_on, v_or(last, between));
        goes_on = v_and(moves, v_not(last));
        x = v_select(moves, next, x);
    }
    return x;
}

static void CF_FN(logistic_mixture)(const cf_call *call) {
    mixture_call s = CF_FN(mixture_open)(call);
    real *out = call->out, *log_det = out + s.features * call->lanes;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < s.features; f++) {
            vreal value = v_load(cf_row(call, 0, f) + lane);
            mixture_parts m;
            CF_FN(mixture_load)(&s, f, lane, &m);
            vreal x = s.inverse ? CF_FN(mixture_solve)(&m, value) : value;
            mixture_point p = CF_FN(mixture_at)(&m, x, NULL);
            v_store(out + f * call->lanes + lane, s.inverse ? x : CF_FN(mixture_logit)(&p));
            sum = sum + CF_FN(mixture_log_slope)(&p);
        }
        v_store(log_det + lane, s.inverse ? -sum : sum);
    }
}

/* Cotangents at x of one feature: `bend` is d log(dy/dx) / dx; returns that of the operand. With
 * c that of y times dy/dx, and r_k the share of component k in the density,
 *
 *     d mean_k      = -r_k (c + dlog (slope_above - slope_below + turn_k rate_k)),
 *     d log_scale_k = (x - mean_k) d mean_k - dlog r_k,
 *     d logit_k     = dy (b_k - a_k) + dlog (r_k - b_k (1 - F) - a_k F),
 *
 * b_k and a_k being the shares in below and above. */
CF_INLINE vreal CF_FN(mixture_pull)(const mixture_call *s, const mixture_parts *m, size_t f,
                                    size_t lane, vreal x, vreal dout, vreal dlog) {
    vreal one = v_set1(1), zero = v_set1(0), mass_below, mass_above;
    mixture_share each[CF_MOST_COMPONENTS];
    mixture_point p = CF_FN(mixture_at)(m, x, each);
    vreal over_below = one / p.below, over_above = one / p.above, over_density = one / p.density;
    vreal over_total = one / CF_FN(mixture_total)(&p, &mass_below, &mass_above);
    mass_below = mass_below * over_total;
    mass_above = mass_above * over_total;
    vreal ends = p.slope_above - p.slope_below, bend = zero;
    for (int k = 0; k < m->components; k++)
        bend = v_fma(each[k].density * over_density, each[k].turn * m->rate[k], bend);
    bend = bend + ends;
    vreal dx, c, dy = dout;
    if (s->inverse) {
        vreal flat = v_max(v_set1(MIXTURE_FLATTEST), CF_FN(mixture_log_slope)(&p));
        c = v_fma(dlog, bend, -dout);
        dy = c * v_exp(-flat);
        dx = -dy;
        dlog = -dlog;
    } else {
        c = dy * (p.slope_below + p.slope_above);
        dx = v_fma(dlog, bend, c);
    }
    for (int k = 0; k < m->components; k++) {
        vreal density = each[k].density * over_density;
        vreal below = each[k].below * over_below, above = each[k].above * over_above;
        vreal dmean = -density * v_fma(dlog, v_fma(each[k].turn, m->rate[k], ends), c);
        vreal dlog_scale = v_fma(x - m->mean[k], dmean, -dlog * density);
        vreal shared = v_fma(below, mass_above, above * mass_below);
        vreal raw = CF_FN(mixture_raw)(s, f, 2 * m->components + k, lane);
        vreal clip = v_fma(v_abs(raw), v_set1(s->clip), one);
        CF_FN(mixture_draw)(s, f, k, lane, v_fma(dy, below - above, dlog * (density - shared)));
        CF_FN(mixture_draw)(s, f, m->components + k, lane, dmean);
        CF_FN(mixture_draw)(s, f, 2 * m->components + k, lane, dlog_scale / (clip * clip));
    }
    return dx;
}

static void CF_FN(logistic_mixture_gradient)(const cf_call *call) {
    mixture_call s = CF_FN(mixture_open)(call);
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal dlog = v_load(cf_row(call, 2, s.features) + lane);
        for (size_t f = 0; f < s.features; f++) {
            vreal x = v_load(cf_row(call, 0, f) + lane);
            vreal dout = v_load(cf_row(call, 2, f) + lane);
            mixture_parts m;
            CF_FN(mixture_load)(&s, f, lane, &m);
            v_store((real *)call->out + f * call->lanes + lane,
                    CF_FN(mixture_pull)(&s, &m, f, lane, x, dout, dlog));
        }
    }
}

#endif
