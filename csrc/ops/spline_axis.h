/* What the kernels of splines share: bins by the softmax of unconstrained parameters, the way back
 * through it, and how a map goes on beyond the ends of its bins. The knots of a feature live in
 * registers and on the stack only. */
#ifndef CF_FN

#ifndef CF_OPS_SPLINE_AXIS_H
#define CF_OPS_SPLINE_AXIS_H

#include <math.h>

#include "ops/feature_rows.h"
#include "ops/splines.h"

#endif

#else

#include "ops/feature_rows.h"
#include "simd/math.h"

#undef spline_call
#undef spline_axis
#undef spline_step
#define spline_call CF_FN(cf_spline_call)
#define spline_axis CF_FN(cf_spline_axis)
#define spline_step CF_FN(cf_spline_step)

/* What all features have in common. */
typedef struct {
    const cf_call *call;
    bool inverse;
    int bins, tails, form;
    size_t features;
    real low, high, min_slope, factor, clip; /* clip: 1 / bound of a soft clip */
    real span, min, rest; /* a bin is span (min + rest * its share of the softmax) wide */
} spline_call;

/* The shares of the bins along one axis: numerators and 1 / their sum. */
typedef struct {
    vreal share[CF_MAX_BINS], scale;
} spline_axis;

/* The way from the nearer knot of a bin to a point in it, as a share of the bin's size. */
typedef struct {
    vmask far; /* where the nearer knot is that at the end */
    vreal size;
} spline_step;

static inline spline_call CF_FN(spline_open)(const cf_call *call) {
    const cf_spline_params *p = call->step->node->params;
    const cf_spline *spline = &p->spline;
    spline_call s = {.call = call,
                     .inverse = p->inverse,
                     .bins = spline->bins,
                     .tails = (int)spline->tails,
                     .form = (int)spline->form,
                     .features = call->step->operand[0].size,
                     .low = (real)spline->low,
                     .high = (real)spline->high,
                     .min_slope = (real)spline->min_slope,
                     .factor = (real)spline->factor,
                     .span = (real)(spline->high - spline->low),
                     .rest = 1};
    if (s.form == CF_SPLINE_SOFTMAX) {
        s.min = (real)spline->min_bin;
        s.rest = (real)(1.0 - (double)s.bins * spline->min_bin);
    } else {
        s.clip = (real)(-1.0 / log(spline->min_slope));
    }
    return s;
}

/* Unconstrained parameter p of feature f. */
CF_INLINE vreal CF_FN(spline_param)(const spline_call *s, size_t f, int p, size_t lane) {
    return v_load(cf_feature_row(s->call, 1, (size_t)p * s->features + f) + lane);
}

/* Where the cotangent of that parameter is stored. */
CF_INLINE real *CF_FN(spline_draw)(const spline_call *s, size_t f, int p, size_t lane) {
    size_t row = s->features + (size_t)p * s->features + f;
    return (real *)s->call->out + row * s->call->lanes + lane;
}

CF_INLINE vreal CF_FN(spline_clip)(vreal params, real inverse_bound) {
    return params / v_fma(v_abs(params), v_set1(inverse_bound), v_set1(1));
}

/* The exponent of a bin's share. */
CF_INLINE vreal CF_FN(spline_exponent)(const spline_call *s, vreal params) {
    params = params * v_set1(s->factor);
    return s->form == CF_SPLINE_SOFTMAX ? params : CF_FN(spline_clip)(params, 2 * s->clip);
}

CF_INLINE vreal CF_FN(spline_exponent_slope)(const spline_call *s, vreal params) {
    vreal factor = v_set1(s->factor);
    if (s->form == CF_SPLINE_SOFTMAX)
        return factor;
    vreal d = v_fma(v_abs(params * factor), v_set1(2 * s->clip), v_set1(1));
    return factor / (d * d);
}

/* The shares along the axis whose unconstrained parameters begin at `first`. */
CF_INLINE void CF_FN(spline_shares)(const spline_call *s, size_t f, int first, size_t lane,
                                    spline_axis *axis) {
    vreal max = CF_FN(spline_exponent)(s, CF_FN(spline_param)(s, f, first, lane));
    axis->share[0] = max;
    for (int k = 1; k < s->bins; k++) {
        axis->share[k] = CF_FN(spline_exponent)(s, CF_FN(spline_param)(s, f, first + k, lane));
        max = v_max(axis->share[k], max);
    }
    vreal sum = v_set1(0);
    for (int k = 0; k < s->bins; k++) {
        axis->share[k] = v_exp(axis->share[k] - max);
        sum = sum + axis->share[k];
    }
    axis->scale = v_set1(1) / sum;
}

/* The size of bin k, as a share of the span. */
CF_INLINE vreal CF_FN(spline_size)(const spline_call *s, const spline_axis *axis, int k) {
    return v_fma(axis->share[k] * axis->scale, v_set1(s->rest), v_set1(s->min));
}

/* The knot that ends bin k, which begins at `knot`. */
CF_INLINE vreal CF_FN(spline_next)(const spline_call *s, const spline_axis *axis, int k,
                                   vreal knot) {
    if (k == s->bins - 1)
        return v_set1(s->high);
    return v_fma(CF_FN(spline_size)(s, axis, k), v_set1(s->span), knot);
}

/* The cotangent of bin k's size: a knot moves with all bins before it. */
CF_INLINE vreal CF_FN(spline_bin_cotangent)(int k, vreal index, vreal both, vreal d1) {
    vreal at = v_set1((real)k);
    return v_select(v_lt(at, index), both, v_select(v_eq(at, index), d1, v_set1(0)));
}

/* Stores the cotangent of the unconstrained parameter of bin k, given that of its size less the
 * mean of all by their shares. */
CF_INLINE void CF_FN(spline_pull_share)(const spline_call *s, const spline_axis *axis, size_t f,
                                        int first, int k, size_t lane, vreal d) {
    vreal share = axis->share[k] * axis->scale;
    vreal slope = CF_FN(spline_exponent_slope)(s, CF_FN(spline_param)(s, f, first + k, lane));
    v_store(CF_FN(spline_draw)(s, f, first + k, lane),
            share * d * v_set1(s->span * s->rest) * slope);
}

/* Through the softmax of one axis: d0 and d1 are the cotangents of the knots about the bin. That
 * of the last knot, which does not move, is the same for all bins and cancels. */
CF_INLINE void CF_FN(spline_pull_axis)(const spline_call *s, const spline_axis *axis, size_t f,
                                       int first, size_t lane, vreal index, vreal d0, vreal d1) {
    vreal both = d0 + d1, mean = v_set1(0);
    for (int k = 0; k < s->bins; k++)
        mean = v_fma(axis->share[k] * axis->scale, CF_FN(spline_bin_cotangent)(k, index, both, d1),
                     mean);
    for (int k = 0; k < s->bins; k++) {
        vreal d = CF_FN(spline_bin_cotangent)(k, index, both, d1) - mean;
        CF_FN(spline_pull_share)(s, axis, f, first, k, lane, d);
    }
}

/* The same, given the cotangents of all sizes. */
CF_INLINE void CF_FN(spline_pull_sizes)(const spline_call *s, const spline_axis *axis, size_t f,
                                        int first, size_t lane, const vreal *size) {
    vreal mean = v_set1(0);
    for (int k = 0; k < s->bins; k++)
        mean = v_fma(axis->share[k] * axis->scale, size[k], mean);
    for (int k = 0; k < s->bins; k++)
        CF_FN(spline_pull_share)(s, axis, f, first, k, lane, size[k] - mean);
}

/* A share of a bin, from 0 to 1 whatever the rounding. */
CF_INLINE vreal CF_FN(spline_unit)(vreal share) {
    return v_min(v_set1(1), v_max(v_set1(0), share));
}

/* Knots that are so close that rounding makes them equal are kept apart. */
CF_INLINE spline_step CF_FN(spline_step_of)(vreal start, vreal end, vreal value) {
    vreal up = value - start, down = end - value, size = v_max(v_set1((real)1e-30), end - start);
    vmask far = v_lt(down, up);
    return (spline_step){far, CF_FN(spline_unit)(v_select(far, down, up) / size)};
}

/* The position of a step in another unit. Reckoned from the nearer knot, a curve goes through its
 * knots and rises, whatever the rounding. */
CF_INLINE vreal CF_FN(spline_from_nearer)(vmask far, vreal start, vreal end, vreal share) {
    vreal way = share * (end - start);
    return v_select(far, end - way, start + way);
}

CF_INLINE vmask CF_FN(spline_is_outside)(const spline_call *s, vreal value) {
    return v_or(v_lt(value, v_set1(s->low)), v_lt(v_set1(s->high), value));
}

CF_INLINE vreal CF_FN(spline_clamp)(const spline_call *s, vreal value) {
    return v_max(v_set1(s->low), v_min(v_set1(s->high), value));
}

/* y, or x if inverted, and *derivative, that of the map just applied, given those of the curve
 * within its ends: `slope` is that of y in x. Beyond the ends the map goes on as the identity or,
 * with free tails, with the slope that it has there. */
CF_INLINE vreal CF_FN(spline_value)(const spline_call *s, vreal value, vreal inside, vreal slope,
                                    vreal slope0, vreal slope1, vreal *derivative) {
    vmask below = v_lt(value, v_set1(s->low)), out = CF_FN(spline_is_outside)(s, value);
    vreal one = v_set1(1), outside = value, end_slope = one;
    if (s->tails == CF_TAILS_FREE) {
        vreal end = v_select(below, v_set1(s->low), v_set1(s->high));
        end_slope = v_select(below, slope0, slope1);
        vreal beyond = value - end;
        outside = s->inverse ? end + beyond / end_slope : v_fma(beyond, end_slope, end);
    }
    slope = v_select(out, end_slope, slope);
    *derivative = s->inverse ? one / slope : slope;
    /* Rounding may move a point beyond an end, where another map continues. */
    return v_select(out, outside, CF_FN(spline_clamp)(s, inside));
}

/* The cotangent of a value beyond the ends, and of the slopes there. */
CF_INLINE vreal CF_FN(spline_pull_tail)(const spline_call *s, vreal slope0, vreal slope1,
                                        vreal value, vreal dout, vreal dlog, vreal *dslope0,
                                        vreal *dslope1) {
    vreal zero = v_set1(0);
    *dslope0 = *dslope1 = zero;
    if (s->tails != CF_TAILS_FREE)
        return dout;
    vmask below = v_lt(value, v_set1(s->low));
    vreal slope = v_select(below, slope0, slope1);
    vreal beyond = value - v_select(below, v_set1(s->low), v_set1(s->high));
    vreal dx = s->inverse ? dout / slope : dout * slope;
    vreal dslope =
        s->inverse ? -v_fma(dx, beyond / slope, dlog / slope) : v_fma(dout, beyond, dlog / slope);
    *dslope0 = v_select(below, dslope, zero);
    *dslope1 = v_select(below, zero, dslope);
    return dx;
}

#endif
