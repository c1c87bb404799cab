/* Monotone rational-quadratic splines with their log-determinant (Durkan et al. 2019,
 * arXiv:1906.04032, equations 4 to 8): operands x [F] and params [P F], number p of feature f at p
 * F + f: K widths, K heights, then the slopes. The output is y [F] and the log_det.
 *
 * Everything is done in one sweep over a tile: the knots of a feature live in registers and on the
 * stack only. The widths of bins and the slopes are positive whatever the unconstrained parameters
 * are, and points outside the knots are clamped before the formula is applied: no branch, no
 * NaN. */
#ifndef CF_FN

#include "ops/spline_axis.h"

#define CF_BODY "ops/rational_quadratic_spline.c"
#include "simd/instantiate.h"

const cf_op cf_rational_quadratic_spline_op = {
    .name = "spline",
    .params = sizeof(cf_spline_params),
    .kernel = CF_VERSIONS(spline),
    .gradient = cf_spline_rule,
};

const cf_op cf_rational_quadratic_spline_gradient_op = {
    .name = "spline gradient",
    .params = sizeof(cf_spline_params),
    .kernel = CF_VERSIONS(spline_gradient),
    .gradient = cf_spline_gradient_rule,
};

#else

#include "ops/spline_axis.h"

#undef spline_bin
#undef spline_point
#undef spline_cotangent
#define spline_bin CF_FN(cf_spline_bin)
#define spline_point CF_FN(cf_spline_point)
#define spline_cotangent CF_FN(cf_spline_cotangent)

/* The bin in which each lane's point lies: its knots and the unconstrained slopes at them. */
typedef struct {
    vreal index, x0, x1, y0, y1, param0, param1;
} spline_bin;

/* A point within its bin. */
typedef struct {
    vreal slope0, slope1;      /* at the knots */
    vreal width, height, mean; /* of the bin; mean = height / width */
    vreal z, rest;             /* the position between the knots, from 0 to 1, and 1 - z */
    vreal u, q;                /* z (1 - z), and the denominator */
    vreal a;                   /* the numerator of y, over the height */
    vreal d;                   /* the numerator of the derivative, over the square of the mean */
} spline_point;

/* Where the unconstrained slope of a knot lies among the slopes, or -1 if it is not one of them. */
CF_INLINE int CF_FN(spline_slope_index)(const spline_call *s, int knot) {
    if (s->tails == CF_TAILS_LINEAR)
        return knot == s->bins ? -1 : knot - 1;
    return s->tails == CF_TAILS_CIRCULAR && knot == s->bins ? 0 : knot;
}

CF_INLINE vreal CF_FN(spline_param_slope)(const spline_call *s, size_t f, int knot, size_t lane) {
    int index = CF_FN(spline_slope_index)(s, knot);
    return index < 0 ? v_set1(0) : CF_FN(spline_param)(s, f, 2 * s->bins + index, lane);
}

/* The bin of `value`, which lies between the ends: on the y axis if the map is inverted. */
CF_INLINE spline_bin CF_FN(spline_find)(const spline_call *s, const spline_axis *widths,
                                        const spline_axis *heights, size_t f, size_t lane,
                                        vreal value) {
    vreal x = v_set1(s->low), y = x;
    vreal slope = CF_FN(spline_param_slope)(s, f, 0, lane);
    spline_bin bin = {.index = v_set1(0)};
    for (int k = 0; k < s->bins; k++) {
        vreal x1 = CF_FN(spline_next)(s, widths, k, x);
        vreal y1 = CF_FN(spline_next)(s, heights, k, y);
        vreal slope1 = CF_FN(spline_param_slope)(s, f, k + 1, lane);
        if (k == 0) {
            bin = (spline_bin){v_set1(0), x, x1, y, y1, slope, slope1};
        } else {
            vmask here = v_le(s->inverse ? y : x, value);
            bin.index = v_select(here, v_set1((real)k), bin.index);
            bin.x0 = v_select(here, x, bin.x0);
            bin.x1 = v_select(here, x1, bin.x1);
            bin.y0 = v_select(here, y, bin.y0);
            bin.y1 = v_select(here, y1, bin.y1);
            bin.param0 = v_select(here, slope, bin.param0);
            bin.param1 = v_select(here, slope1, bin.param1);
        }
        x = x1;
        y = y1;
        slope = slope1;
    }
    return bin;
}

/* The slope at a knot, and its derivative in the unconstrained parameter. */
CF_INLINE vreal CF_FN(spline_slope)(const spline_call *s, vreal params) {
    if (s->form == CF_SPLINE_SOFTMAX)
        return v_softplus(params) + v_set1(s->min_slope);
    return v_exp(CF_FN(spline_clip)(params, s->clip));
}

CF_INLINE vreal CF_FN(spline_slope_slope)(const spline_call *s, vreal params, vreal slope) {
    if (s->form == CF_SPLINE_SOFTMAX)
        return v_sigmoid(params);
    vreal d = v_fma(v_abs(params), v_set1(s->clip), v_set1(1));
    return slope / (d * d);
}

/* Slopes at the ends are 1 if the tails are linear. */
CF_INLINE void CF_FN(spline_slopes)(const spline_call *s, const spline_bin *bin, spline_point *p) {
    p->slope0 = CF_FN(spline_slope)(s, bin->param0);
    p->slope1 = CF_FN(spline_slope)(s, bin->param1);
    if (s->tails != CF_TAILS_LINEAR)
        return;
    vreal one = v_set1(1), last = v_set1((real)(s->bins - 1));
    p->slope0 = v_select(v_le(bin->index, v_set1(0)), one, p->slope0);
    p->slope1 = v_select(v_le(last, bin->index), one, p->slope1);
}

/* z of a given y: the root of a z^2 + b z - c, c >= 0, by the one of two formulas that does not
 * cancel. Where b < 0, a > 0. */
CF_INLINE vreal CF_FN(spline_solve)(const spline_point *p, vreal rise) {
    vreal zero = v_set1(0), two = v_set1(2);
    vreal bend = p->slope0 + p->slope1 - two * p->mean;
    vreal a = v_fma(rise, bend, p->height * (p->mean - p->slope0));
    vreal b = v_fma(-rise, bend, p->height * p->slope0);
    vreal c = p->mean * rise;
    vreal root = v_sqrt(v_max(zero, v_fma(b, b, v_set1(4) * a * c)));
    vmask negative = v_lt(b, zero);
    return v_select(negative, root - b, two * c) / v_select(negative, two * a, b + root);
}

/* Half the minimum size of a bin, but for rounding. */
CF_INLINE real CF_FN(spline_half_min)(const spline_call *s) {
    real share = s->form == CF_SPLINE_SOFTMAX ? s->min : s->min_slope / (real)s->bins;
    return s->span * share / 2;
}

CF_INLINE spline_point CF_FN(spline_locate)(const spline_call *s, const spline_bin *bin,
                                            vreal value) {
    spline_point p;
    vreal zero = v_set1(0), one = v_set1(1), two = v_set1(2);
    CF_FN(spline_slopes)(s, bin, &p);
    vreal min = v_set1(CF_FN(spline_half_min)(s));
    /* Far from 0 rounding may leave nothing between two knots. */
    p.width = v_max(min, bin->x1 - bin->x0);
    p.height = v_max(min, bin->y1 - bin->y0);
    p.mean = p.height / p.width;
    p.z = s->inverse ? CF_FN(spline_solve)(&p, value - bin->y0) : (value - bin->x0) / p.width;
    p.z = v_min(one, v_max(zero, p.z));
    p.rest = v_max(zero, (bin->x1 - value) / p.width);
    p.rest = s->inverse ? one - p.z : v_select(v_lt(bin->x1 - bin->x0, min), one - p.z, p.rest);
    vreal rest = p.rest, square = p.z * p.z;
    p.u = p.z * rest;
    p.q = v_fma(p.slope0 + p.slope1 - two * p.mean, p.u, p.mean);
    p.a = v_fma(p.mean, square, p.slope0 * p.u);
    p.d = v_fma(p.slope1, square, v_fma(two * p.mean, p.u, p.slope0 * rest * rest));
    return p;
}

/* The derivative of y in x. */
CF_INLINE vreal CF_FN(spline_derivative)(const spline_point *p) {
    vreal r = p->mean / p->q;
    return r * r * p->d;
}

/* y, or x if inverted, of a point within the bin. */
CF_INLINE vreal CF_FN(spline_inside)(const spline_call *s, const spline_bin *bin,
                                     const spline_point *p) {
    return s->inverse ? v_fma(p->z, p->width, bin->x0) : v_fma(p->height, p->a / p->q, bin->y0);
}

static void CF_FN(spline)(const cf_call *call) {
    spline_call s = CF_FN(spline_open)(call);
    real *out = call->out, *log_det = out + s.features * call->lanes;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < s.features; f++) {
            vreal value = v_load(cf_feature_row(call, 0, f) + lane), derivative;
            vreal within = CF_FN(spline_clamp)(&s, value);
            spline_axis widths, heights;
            CF_FN(spline_shares)(&s, f, 0, lane, &widths);
            CF_FN(spline_shares)(&s, f, s.bins, lane, &heights);
            spline_bin bin = CF_FN(spline_find)(&s, &widths, &heights, f, lane, within);
            spline_point point = CF_FN(spline_locate)(&s, &bin, within);
            vreal inside = CF_FN(spline_inside)(&s, &bin, &point);
            vreal slope = CF_FN(spline_derivative)(&point);
            vreal y = CF_FN(spline_value)(&s, value, inside, slope, point.slope0, point.slope1,
                                          &derivative);
            v_store(out + f * call->lanes + lane, y);
            sum = sum + v_log(derivative);
        }
        v_store(log_det + lane, sum);
    }
}

/* Cotangents of what sets a bin's piece of the curve, and of the position in it. */
typedef struct {
    vreal z, x0, x1, y0, y1, slope0, slope1;
} spline_cotangent;

/* Given the cotangents of y and of the logarithm of the derivative. */
CF_INLINE spline_cotangent CF_FN(spline_pull)(const spline_point *p, vreal dy, vreal dlog) {
    vreal one = v_set1(1), two = v_set1(2), z = p->z, rest = p->rest, turn = rest - z;
    vreal bend = p->slope0 + p->slope1 - two * p->mean;
    vreal over_q = one / p->q, share = p->a * over_q;
    vreal da = dy * p->height * over_q;
    vreal dq = -(da * share + two * dlog * over_q);
    vreal dd = dlog / p->d;
    vreal dmean = da * z * z + dq * (one - two * p->u) + two * (dd * p->u + dlog / p->mean);
    spline_cotangent c;
    c.z = da * (two * p->mean * z + p->slope0 * turn) + dq * bend * turn +
          two * dd * (p->slope1 * z + p->mean * turn - p->slope0 * rest);
    c.slope0 = (da + dq) * p->u + dd * rest * rest;
    c.slope1 = dq * p->u + dd * z * z;
    c.y1 = v_fma(dy, share, dmean / p->width);
    c.y0 = dy - c.y1;
    c.x1 = -v_fma(dmean, p->mean, c.z * z) / p->width;
    c.x0 = -c.z / p->width - c.x1;
    return c;
}

/* The cotangents of a bin where the curve is within it, and *dx. The gradient of an inverse is
 * that of the curve at the point found: x(y) changes by -dy/(dy/dx). */
CF_INLINE spline_cotangent CF_FN(spline_pull_inside)(const spline_call *s, const spline_point *p,
                                                     vreal dout, vreal dlog, vreal *dx) {
    if (!s->inverse) {
        spline_cotangent c = CF_FN(spline_pull)(p, dout, dlog);
        *dx = c.z / p->width;
        return c;
    }
    spline_cotangent of_log = CF_FN(spline_pull)(p, v_set1(0), dlog);
    *dx = (dout - of_log.z / p->width) / CF_FN(spline_derivative)(p);
    return CF_FN(spline_pull)(p, -*dx, -dlog);
}

/* The same beyond the ends, where only the slope at the end may matter. */
CF_INLINE spline_cotangent CF_FN(spline_pull_outside)(const spline_call *s, const spline_point *p,
                                                      vreal value, vreal dout, vreal dlog,
                                                      vreal *dx) {
    vreal zero = v_set1(0);
    spline_cotangent c = {zero, zero, zero, zero, zero, zero, zero};
    *dx = CF_FN(spline_pull_tail)(s, p->slope0, p->slope1, value, dout, dlog, &c.slope0, &c.slope1);
    return c;
}

CF_INLINE spline_cotangent CF_FN(spline_choose)(vmask out, const spline_cotangent *outside,
                                                const spline_cotangent *inside) {
    spline_cotangent c = {.z = v_select(out, outside->z, inside->z)};
    c.x0 = v_select(out, outside->x0, inside->x0);
    c.x1 = v_select(out, outside->x1, inside->x1);
    c.y0 = v_select(out, outside->y0, inside->y0);
    c.y1 = v_select(out, outside->y1, inside->y1);
    c.slope0 = v_select(out, outside->slope0, inside->slope0);
    c.slope1 = v_select(out, outside->slope1, inside->slope1);
    return c;
}

/* To the unconstrained slopes: each belongs to the bin that it begins and to the one that it
 * ends. */
CF_INLINE void CF_FN(spline_pull_slopes)(const spline_call *s, const spline_bin *bin,
                                         const spline_point *p, const spline_cotangent *c, size_t f,
                                         size_t lane) {
    vreal zero = v_set1(0);
    vreal d0 = c->slope0 * CF_FN(spline_slope_slope)(s, bin->param0, p->slope0);
    vreal d1 = c->slope1 * CF_FN(spline_slope_slope)(s, bin->param1, p->slope1);
    int first = s->tails == CF_TAILS_LINEAR;
    int last = s->tails == CF_TAILS_FREE ? s->bins : s->bins - 1;
    for (int knot = first; knot <= last; knot++) {
        int ended = s->tails == CF_TAILS_CIRCULAR && knot == 0 ? s->bins - 1 : knot - 1;
        vreal begins = v_select(v_eq(bin->index, v_set1((real)knot)), d0, zero);
        vreal ends = v_select(v_eq(bin->index, v_set1((real)ended)), d1, zero);
        v_store(CF_FN(spline_draw)(s, f, 2 * s->bins + knot - first, lane), begins + ends);
    }
}

static void CF_FN(spline_gradient)(const cf_call *call) {
    spline_call s = CF_FN(spline_open)(call);
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal dlog = v_load(cf_feature_row(call, 2, s.features) + lane);
        for (size_t f = 0; f < s.features; f++) {
            vreal value = v_load(cf_feature_row(call, 0, f) + lane);
            vreal dout = v_load(cf_feature_row(call, 2, f) + lane), dx_inside, dx_outside;
            vreal within = CF_FN(spline_clamp)(&s, value);
            vmask out = CF_FN(spline_is_outside)(&s, value);
            spline_axis widths, heights;
            CF_FN(spline_shares)(&s, f, 0, lane, &widths);
            CF_FN(spline_shares)(&s, f, s.bins, lane, &heights);
            spline_bin bin = CF_FN(spline_find)(&s, &widths, &heights, f, lane, within);
            spline_point point = CF_FN(spline_locate)(&s, &bin, within);
            spline_cotangent inside = CF_FN(spline_pull_inside)(&s, &point, dout, dlog, &dx_inside);
            spline_cotangent outside =
                CF_FN(spline_pull_outside)(&s, &point, value, dout, dlog, &dx_outside);
            spline_cotangent c = CF_FN(spline_choose)(out, &outside, &inside);
            v_store((real *)call->out + f * call->lanes + lane,
                    v_select(out, dx_outside, dx_inside));
            CF_FN(spline_pull_axis)(&s, &widths, f, 0, lane, bin.index, c.x0, c.x1);
            CF_FN(spline_pull_axis)(&s, &heights, f, s.bins, lane, bin.index, c.y0, c.y1);
            CF_FN(spline_pull_slopes)(&s, &bin, &point, &c, f, lane);
        }
    }
}

#endif
