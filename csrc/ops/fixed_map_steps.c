/* The steps of fixed maps, each with its slope and two derivatives of the slope's logarithm, in
 * float64. Those of a chain follow from those of its steps, w = f(v):
 *
 *     w'          = f' v'
 *     (log w')'   = (log f')' v' + (log v')'
 *     (log w')''  = (log f')'' v'^2 + (log f')' v' (log v')' + (log v')''
 *
 * in which nothing overflows sooner than it must. */
#ifndef CF_FN

#include <math.h>

#include "ops/fixed_map.h"

#define CF_BODY "ops/fixed_map_steps.c"
#include "simd/instantiate.h"

#ifdef CF_SIMD_X86
const cf_map_function cf_map_feature[CF_SIMD_LEVELS] = {map_feature_base_f64, map_feature_avx2_f64,
                                                        map_feature_avx512_f64};
#else
const cf_map_function cf_map_feature[CF_SIMD_LEVELS] = {map_feature_base_f64};
#endif

#elif defined(CF_REAL_F64)

#include "simd/math.h"

#define map_point CF_FN(cf_map_point)
#define map_slopes CF_FN(cf_map_slopes)

/* A number on its way, the sum of the logarithms of the slopes but for constants, the slope, and
 * the first and second derivative of its logarithm. */
typedef struct {
    vreal v, log_slope, slope, d_log_slope, d2_log_slope;
} map_point;

/* What a step does at v: its value, log|f'|, f', and the derivatives of log f'. */
typedef struct {
    vreal w, log_slope, slope, d_log_slope, d2_log_slope;
} map_slopes;

#define ZERO v_set1(0)
#define ONE v_set1(1)
#define MINUS_INFINITY v_set1(-INFINITY)
#define LOG_2 0.6931471805599453
#define TURN 6.283185307179586

/* The result where `inside`; elsewhere there is no density. */
CF_INLINE map_slopes CF_FN(map_restricted)(map_slopes s, vmask inside) {
    s.w = v_select(inside, s.w, ZERO);
    s.log_slope = v_select(inside, s.log_slope, MINUS_INFINITY);
    return s;
}

CF_INLINE map_slopes CF_FN(map_affine)(const cf_map_step *step, const double *buffers, vreal v,
                                       bool up) {
    vreal shift = v_set1(buffers[step->shift]), scale = v_set1(buffers[step->scale]);
    if (up)
        return (map_slopes){v * scale + shift, ZERO, scale, ZERO, ZERO};
    return (map_slopes){(v - shift) / scale, ZERO, ONE / scale, ZERO, ZERO};
}

CF_INLINE map_slopes CF_FN(map_exp)(vreal v, bool up) {
    if (up) {
        vreal w = v_exp(v);
        return (map_slopes){w, v, w, ONE, ZERO};
    }
    vreal w = v_log(v), r = ONE / v;
    map_slopes s = {w, -w, r, -r, r * r};
    return CF_FN(map_restricted)(s, v_or(v_lt(ZERO, v), v_not(v_eq(v, v))));
}

/* Numbers count from the nearer end, or from the middle, which those beside it have the digits
 * for. */
CF_INLINE map_slopes CF_FN(map_sigmoid_up)(const cf_map_step *step, vreal v) {
    double span = step->high - step->low, middle = 0.5 * step->low + 0.5 * step->high;
    vreal t = v_set1(step->rate) * v, above = v_sigmoid(t), below = v_sigmoid(-t);
    vreal far = v_select(v_lt(ZERO, t), v_set1(step->high) - v_set1(span) * below,
                         v_set1(step->low) + v_set1(span) * above);
    vreal near = v_set1(middle) + v_set1(0.5 * span) * v_tanh(v_set1(0.5) * t);
    vreal w = v_select(v_lt(v_abs(t), ONE), near, far), rate = v_set1(step->rate);
    vreal curve = v_softplus(t) + v_softplus(-t), product = above * below;
    return (map_slopes){w, v_set1(log(span) + log(step->rate)) - curve,
                        v_set1(span) * rate * product, rate * (below - above),
                        v_set1(-2) * rate * rate * product};
}

CF_INLINE map_slopes CF_FN(map_sigmoid_down)(const cf_map_step *step, vreal v) {
    double span = step->high - step->low, middle = 0.5 * step->low + 0.5 * step->high;
    vreal min = v_set1(step->epsilon * span), max = v_set1((1.0 - step->epsilon) * span);
    vreal left = v - v_set1(step->low), right = v_set1(step->high) - v, a = left, b = right;
    if (step->epsilon > 0) {
        a = v_min(max, v_max(min, left));
        b = v_min(max, v_max(min, right));
    }
    vreal q = (v - v_set1(middle)) / v_set1(0.5 * span), per_rate = v_set1(1 / step->rate);
    vreal near = v_log1p(q) - v_log1p(-q), far = v_log(a) - v_log(b);
    vreal ra = ONE / a, rb = ONE / b;
    map_slopes s = {v_select(v_lt(v_abs(q), v_set1(0.25)), near, far) * per_rate,
                    v_set1(log(span) - log(step->rate)) - (v_log(a) + v_log(b)),
                    (ra + rb) * per_rate, rb - ra, ra * ra + rb * rb};
    if (step->epsilon > 0) {
        vmask as_it_is = v_and(v_le(min, left), v_le(min, right));
        s.slope = v_select(as_it_is, s.slope, ZERO);
        s.d_log_slope = v_select(as_it_is, s.d_log_slope, ZERO);
        s.d2_log_slope = v_select(as_it_is, s.d2_log_slope, ZERO);
        return s;
    }
    vmask inside = v_and(v_lt(ZERO, a), v_lt(ZERO, b));
    return CF_FN(map_restricted)(s, v_or(inside, v_not(v_eq(v, v))));
}

CF_INLINE map_slopes CF_FN(map_sigmoid)(const cf_map_step *step, vreal v, bool up) {
    return up ? CF_FN(map_sigmoid_up)(step, v) : CF_FN(map_sigmoid_down)(step, v);
}

CF_INLINE map_slopes CF_FN(map_tanh)(vreal v, bool up) {
    vreal two = v_set1(2);
    if (up) {
        vreal w = v_tanh(v), size = v_abs(v);
        vreal log_slope = two * (v_set1(LOG_2) - size - v_softplus(-two * size));
        vreal q = v_exp(log_slope);
        return (map_slopes){w, log_slope, q, -two * w, -two * q};
    }
    vreal above = v_log1p(v), below = v_log1p(-v), r = ONE / ((ONE + v) * (ONE - v));
    vreal d_log_slope = two * v * r;
    map_slopes s = {v_set1(0.5) * (above - below), -(above + below), r, d_log_slope,
                    two * r + d_log_slope * d_log_slope};
    return CF_FN(map_restricted)(s, v_or(v_lt(v_abs(v), ONE), v_not(v_eq(v, v))));
}

CF_INLINE map_slopes CF_FN(map_softplus)(vreal v, bool up) {
    if (up) {
        vreal s = v_sigmoid(v), c = v_sigmoid(-v);
        return (map_slopes){v_softplus(v), -v_softplus(-v), s, c, -s * c};
    }
    vreal e = -v_expm1(-v), log_e = v_log(e), d_log_slope = ONE / v_expm1(v);
    map_slopes s = {v + log_e, -log_e, ONE / e, -d_log_slope,
                    d_log_slope + d_log_slope * d_log_slope};
    return CF_FN(map_restricted)(s, v_or(v_lt(ZERO, v), v_not(v_eq(v, v))));
}

/* log(cosh(u)). */
CF_INLINE vreal CF_FN(map_log_cosh)(vreal u) {
    vreal size = v_abs(u);
    return size + v_log1p(v_exp(v_set1(-2) * size)) - v_set1(LOG_2);
}

CF_INLINE map_slopes CF_FN(map_sinh)(vreal v, bool up) {
    vreal size = v_abs(v), half = v_set1(0.5);
    if (up) {
        /* Near 0 without cancellation; far out in two factors, of which neither overflows. */
        vreal small = half * (v_expm1(v) - v_expm1(-v)), root = v_exp(half * size);
        vreal large = v_with_sign(half * root * root, v);
        vreal w = v_select(v_lt(size, v_set1(20)), small, large);
        vreal log_slope = CF_FN(map_log_cosh)(v), c = v_exp(log_slope);
        return (map_slopes){w, log_slope, c, v_tanh(v), ONE / (c * c)};
    }
    vreal square = size * size, near = v_log1p(size + square / (ONE + v_sqrt(ONE + square)));
    vreal far = v_log(size) + v_set1(LOG_2);
    vmask small = v_lt(size, v_set1(0x1p30));
    vreal w = v_with_sign(v_select(small, near, far), v);
    vreal log_slope = -v_select(small, half * v_log1p(square), v_log(size)), c = v_exp(log_slope);
    return (map_slopes){w, log_slope, c, -(v * c) * c, c * c * (ONE - v_set1(2) * c * c)};
}

/* Far out on the way down rate v may overflow, but not the slope's logarithm, -log(|rate v|). */
CF_INLINE map_slopes CF_FN(map_scaled_sinh)(double rate, vreal v, bool up) {
    vreal scale = v_set1(rate), r = ONE / v;
    map_slopes s = CF_FN(map_sinh)(scale * v, up);
    s.w = s.w / scale;
    s.d_log_slope = s.d_log_slope * scale;
    s.d2_log_slope = s.d2_log_slope * scale * scale;
    if (up)
        return s;
    vreal log_slope = -(v_log(v_abs(v)) + v_set1(log(rate)));
    vreal w = v_with_sign((v_set1(LOG_2) - log_slope) / scale, v);
    vmask near = v_lt(scale * v_abs(v), v_set1(0x1p30));
    return (map_slopes){v_select(near, s.w, w), v_select(near, s.log_slope, log_slope),
                        v_select(near, s.slope, v_exp(log_slope)),
                        v_select(near, s.d_log_slope, -r), v_select(near, s.d2_log_slope, r * r)};
}

/* The C library's pow is right to an ulp, which exp(exponent log(v)) is far from. */
CF_INLINE map_slopes CF_FN(map_power)(double exponent, vreal v) {
    double number[VL];
    v_store(number, v);
    for (size_t i = 0; i < VL; i++)
        number[i] = pow(number[i], exponent);
    vreal w = v_load(number), e = v_set1(exponent), r = ONE / v, d_log_slope = (e - ONE) * r;
    vreal log_slope = v_set1(log(fabs(exponent))) + (e - ONE) * v_log(v);
    map_slopes s = {w, log_slope, e * (w * r), d_log_slope, -d_log_slope * r};
    return CF_FN(map_restricted)(s, v_or(v_lt(ZERO, v), v_not(v_eq(v, v))));
}

/* Beyond the bound B in B / |v|, where |v| / B may overflow; the curve has a kink at 0. */
CF_INLINE map_slopes CF_FN(map_softclip)(double bound, vreal v, bool up) {
    vreal b = v_set1(bound), size = v_abs(v), two = v_set1(2);
    vreal sign = v_select(v_eq(v, ZERO), ZERO, v_with_sign(ONE, v));
    if (up) {
        vmask near = v_lt(size, b);
        vreal q = size / b, r = b / size, d = b + size;
        vreal w = v_select(near, v / (ONE + q), v_with_sign(b / (ONE + r), v));
        vreal share = v_select(near, ONE / (ONE + q), r / (ONE + r));
        vreal log_d = v_select(near, v_log1p(q), v_log1p(r) + (v_log(size) - v_set1(log(bound))));
        vreal d_log_slope = -two * sign / d;
        return (map_slopes){w, -two * log_d, share * share, d_log_slope, two / (d * d)};
    }
    vreal rest = b - size, q = size / b, share = rest / b;
    vreal log_share = v_select(v_lt(q, v_set1(0.5)), v_log1p(-q), v_log(share));
    map_slopes s = {v / share, -two * log_share, ONE / (share * share), two * sign / rest,
                    two / (rest * rest)};
    return CF_FN(map_restricted)(s, v_or(v_lt(size, b), v_not(v_eq(v, v))));
}

/* What lies within stays as it is, also what is an end after rounding to the dtype of the run;
 * rounding may move the result beyond an end. */
CF_INLINE map_slopes CF_FN(map_circle)(const cf_map_step *step, vreal v, double unit, bool up) {
    vreal low = v_set1(step->low), high = v_set1(step->high), turn = high - low;
    vreal x = up ? v + v_set1(step->rate) : v - v_set1(step->rate);
    vreal turns = (x - low) / turn, whole = v_round(turns);
    whole = v_select(v_lt(turns, whole), whole - ONE, whole);
    vreal moved = v_fma(-whole, turn, x);
    bool is_float = unit > 0x1p-52;
    double lowest = is_float ? (float)step->low : step->low;
    double highest = is_float ? (float)step->high : step->high;
    vmask within =
        v_and(v_le(v_set1(fmin(lowest, step->low)), x), v_le(x, v_set1(fmax(highest, step->high))));
    vreal w = v_select(within, x, v_min(high, v_max(low, moved)));
    return (map_slopes){w, ZERO, ONE, ZERO, ZERO};
}

/* With c and s the cosine and sine of v / 2, the slope is scale / (c^2 + scale^2 s^2); the inverse
 * is of the same form. */
CF_INLINE map_slopes CF_FN(map_mobius)(const cf_map_step *step, const double *buffers, vreal v,
                                       bool up) {
    double shift = buffers[step->shift], scale = buffers[step->scale];
    double start[VL], w[VL], log_slope[VL], slope[VL], first[VL], second[VL];
    v_store(start, v);
    for (size_t i = 0; i < VL; i++) {
        double k = up ? scale : 1.0 / scale, angle = up ? start[i] : start[i] - shift;
        double half = 0.5 * remainder(angle, TURN), c = cos(half), s = k * sin(half);
        double moved = 2.0 * atan2(s, c), size = c * c + s * s;
        double bend = 0.5 * (1.0 - k) * (1.0 + k) / size, sine = sin(2.0 * half);
        w[i] = up ? moved + shift : moved;
        slope[i] = k / size;
        log_slope[i] = log(k) - log(size);
        first[i] = bend * sine;
        second[i] = bend * cos(2.0 * half) + first[i] * first[i];
    }
    return (map_slopes){v_load(w), v_load(log_slope), v_load(slope), v_load(first), v_load(second)};
}

/* The noise is kept so far from both ends of [v, v + 1] that v is still found below once the sum
 * has been rounded, divided and multiplied: four units in the last place of |v| + 1, or a quarter,
 * where numbers are so large that nothing changes from one to the next. */
CF_INLINE map_slopes CF_FN(map_floor)(const cf_map_step *step, vreal v, vreal noise, double unit,
                                      bool up) {
    vreal low = v_set1(step->low), high = v_set1(step->high), rate = v_set1(step->rate);
    vreal nearest = v_round(up ? v * rate : v);
    if (up) {
        vreal w = v_select(v_lt(v * rate, nearest), nearest - ONE, nearest);
        return (map_slopes){v_min(high, v_max(low, w)), v_set1(NAN), ZERO, ZERO, ZERO};
    }
    vmask level = v_and(v_eq(v, nearest), v_and(v_le(low, v), v_le(v, high)));
    vreal margin = v_min(v_set1(0.25), (v_abs(v) + ONE) * v_set1(4 * unit));
    vreal y = v + v_min(ONE - margin, v_max(margin, noise));
    map_slopes s = {y / rate, v_set1(-log(step->rate)), ONE / rate, ZERO, ZERO};
    return CF_FN(map_restricted)(s, v_or(level, v_not(v_eq(v, v))));
}

CF_INLINE map_slopes CF_FN(map_step)(const cf_map_step *step, const cf_map_call *call, vreal v,
                                     vreal noise) {
    bool up = call->to_base == step->inverted;
    switch (step->kind) {
    case CF_MAP_AFFINE:
        return CF_FN(map_affine)(step, call->buffers, v, up);
    case CF_MAP_EXP:
        return CF_FN(map_exp)(v, up);
    case CF_MAP_SIGMOID:
        return CF_FN(map_sigmoid)(step, v, up);
    case CF_MAP_TANH:
        return CF_FN(map_tanh)(v, up);
    case CF_MAP_SOFTPLUS:
        return CF_FN(map_softplus)(v, up);
    case CF_MAP_SINH:
        return CF_FN(map_sinh)(v, up);
    case CF_MAP_SCALED_SINH:
        return CF_FN(map_scaled_sinh)(step->rate, v, up);
    case CF_MAP_POWER:
        return CF_FN(map_power)(up ? step->rate : 1.0 / step->rate, v);
    case CF_MAP_SOFTCLIP:
        return CF_FN(map_softclip)(step->high, v, up);
    case CF_MAP_CIRCLE:
        return CF_FN(map_circle)(step, v, call->unit, up);
    case CF_MAP_MOBIUS:
        return CF_FN(map_mobius)(step, call->buffers, v, up);
    default:
        return CF_FN(map_floor)(step, v, noise, call->unit, up);
    }
}

CF_INLINE void CF_FN(map_advance)(map_point *p, map_slopes s, bool derivatives) {
    p->v = s.w;
    p->log_slope = p->log_slope + s.log_slope;
    if (!derivatives)
        return;
    p->d2_log_slope = p->d2_log_slope + s.d_log_slope * p->slope * p->d_log_slope +
                      s.d2_log_slope * p->slope * p->slope;
    p->d_log_slope = p->d_log_slope + s.d_log_slope * p->slope;
    p->slope = s.slope * p->slope;
}

/* What has no density on the way to the base, and no value on the way to the data. */
CF_INLINE void CF_FN(map_finish)(map_point *p, vreal start, bool to_base) {
    vreal max = v_set1(INFINITY);
    vmask number = v_eq(start, start), infinite = v_eq(v_abs(start), max);
    vmask outside = v_and(number, v_eq(p->log_slope, MINUS_INFINITY));
    if (!to_base) {
        vreal nan = v_set1(NAN);
        p->v = v_select(outside, nan, p->v);
        p->log_slope = v_select(outside, nan, p->log_slope);
    } else {
        vmask finite = v_lt(v_abs(p->v), max);
        outside = v_or(outside, v_and(number, v_or(infinite, v_not(finite))));
        p->v = v_select(outside, ZERO, p->v);
        p->log_slope = v_select(outside, MINUS_INFINITY, p->log_slope);
    }
    p->slope = v_select(outside, ZERO, p->slope);
    p->d_log_slope = v_select(outside, ZERO, p->d_log_slope);
    p->d2_log_slope = v_select(outside, ZERO, p->d2_log_slope);
}

static void CF_FN(map_feature)(const cf_map_call *call, size_t f, size_t lanes, const double *noise,
                               cf_mapped *m) {
    const cf_map_step *steps;
    cf_map_step own;
    size_t count = cf_fixed_map_steps(call->map, f, &own, &steps);
    double constant = call->log_slopes ? cf_fixed_map_constant(call, f) : 0.0;
    for (size_t lane = 0; lane < lanes; lane += VL) {
        vreal start = v_load(m->value + lane), drawn = noise == NULL ? ZERO : v_load(noise + lane);
        map_point p = {start, ZERO, ONE, ZERO, ZERO};
        for (size_t i = 0; i < count; i++) {
            const cf_map_step *step = &steps[call->to_base ? count - 1 - i : i];
            CF_FN(map_advance)(&p, CF_FN(map_step)(step, call, p.v, drawn), call->derivatives);
        }
        if (!call->constant_slopes)
            CF_FN(map_finish)(&p, start, call->to_base);
        v_store(m->value + lane, p.v);
        v_store(m->log_slope + lane, p.log_slope + v_set1(constant));
        if (!call->derivatives)
            continue;
        v_store(m->slope + lane, p.slope);
        v_store(m->d_log_slope + lane, p.d_log_slope);
        v_store(m->d2_log_slope + lane, p.d2_log_slope);
    }
}

#endif
