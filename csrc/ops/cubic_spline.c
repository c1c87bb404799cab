/* Monotone cubic splines with their log-determinant (Durkan et al. 2019, Cubic-spline flows,
 * arXiv:1906.02145): Hermite's cubics between knots whose positions and values are set by K
 * unconstrained widths and K unconstrained heights. With s_k the mean slope and w_k the width of
 * bin k, the slope at knot k is
 *
 *     min(2 s_{k-1}, 2 s_k, (s_{k-1} w_k + s_k w_{k-1}) / (w_{k-1} + w_k))        (Steffen 1990)
 *
 * and at the ends (m + 3 (1 - m) sigmoid(params)) times the mean slope of the bin. No slope is
 * above 3 times the mean slope of its bin, so that the curve rises (Fritsch and Carlson 1980); with
 * the minimum slope m above 0 it does so strictly: in a bin with slopes d0 and d1 at its knots,
 * dy/dx >= min(m s, s / 2, d0, d1), a bound that is enforced against rounding. (Where d0 = d1 = 2
 * s, as between steep neighbours, it is s / 2 halfway.)
 *
 * Inverted, a cubic is solved by Newton's method from its point of inflection, rather than by roots
 * of cubic formulas, which cancel in float32: from there the steps never cross the root twice, and
 * get shorter until only rounding is left. */
#ifndef CF_FN

#include "ops/spline_axis.h"

#define CF_BODY "ops/cubic_spline.c"
#include "simd/instantiate.h"

const cf_op cf_cubic_spline_op = {
    .name = "cubic spline",
    .params = sizeof(cf_spline_params),
    .kernel = CF_VERSIONS(cubic_spline),
    .gradient = cf_spline_rule,
};

const cf_op cf_cubic_spline_gradient_op = {
    .name = "cubic spline gradient",
    .params = sizeof(cf_spline_params),
    .kernel = CF_VERSIONS(cubic_spline_gradient),
    .gradient = cf_spline_gradient_rule,
};

#else

#include "ops/spline_axis.h"

#undef cubic_bin
#undef cubic_slope
#undef cubic_point
#undef cubic_cotangent
#undef CUBIC_STEPS
#define cubic_bin CF_FN(cf_cubic_bin)
#define cubic_slope CF_FN(cf_cubic_slope)
#define cubic_point CF_FN(cf_cubic_point)
#define cubic_cotangent CF_FN(cf_cubic_cotangent)

/* More than are ever needed: 4 to 9 as a rule, and up to 26 where slopes nearly vanish, since steps
 * only halve the distance there. */
#define CUBIC_STEPS 80

/* The bin in which each lane's point lies: its knots, its sizes and those of the bins beside it; at
 * the ends its own stand for those of the missing bin. */
typedef struct {
    vreal index, x0, x1, y0, y1, width, height;
    vreal width_before, width_after, height_before, height_after;
} cubic_bin;

/* The slope at an inner knot, and its derivatives in the mean slopes and widths of the bins before
 * and after it. */
typedef struct {
    vreal value, mean_before, mean_after, width_before, width_after;
} cubic_slope;

/* A point within its bin: z from 0 to 1, 1 - z, and the value of the map just applied. */
typedef struct {
    vmask first, last; /* whether the bin is at that end */
    cubic_slope inner0, inner1;
    vreal factor0, factor1; /* of the mean slope, at the ends */
    vreal slope0, slope1;   /* at the knots */
    vreal width, mean, z, rest, value, slope;
} cubic_point;

/* The bin of `value`, which lies between the ends: on the y axis if the map is inverted. */
CF_INLINE cubic_bin CF_FN(cubic_find)(const spline_call *s, const spline_axis *widths,
                                      const spline_axis *heights, vreal value) {
    vreal x = v_set1(s->low), y = x, span = v_set1(s->span);
    vreal width = CF_FN(spline_size)(s, widths, 0) * span, width_before = width;
    vreal height = CF_FN(spline_size)(s, heights, 0) * span, height_before = height;
    cubic_bin bin = {.index = v_set1(0)};
    for (int k = 0; k < s->bins; k++) {
        int next = k == s->bins - 1 ? k : k + 1;
        vreal x1 = CF_FN(spline_next)(s, widths, k, x);
        vreal y1 = CF_FN(spline_next)(s, heights, k, y);
        vreal width_after = CF_FN(spline_size)(s, widths, next) * span;
        vreal height_after = CF_FN(spline_size)(s, heights, next) * span;
        if (k == 0) {
            bin = (cubic_bin){v_set1(0),   x,      x1,           y,           y1,
                              width,       height, width_before, width_after, height_before,
                              height_after};
        } else {
            vmask here = v_le(s->inverse ? y : x, value);
            bin.index = v_select(here, v_set1((real)k), bin.index);
            bin.x0 = v_select(here, x, bin.x0);
            bin.x1 = v_select(here, x1, bin.x1);
            bin.y0 = v_select(here, y, bin.y0);
            bin.y1 = v_select(here, y1, bin.y1);
            bin.width = v_select(here, width, bin.width);
            bin.height = v_select(here, height, bin.height);
            bin.width_before = v_select(here, width_before, bin.width_before);
            bin.width_after = v_select(here, width_after, bin.width_after);
            bin.height_before = v_select(here, height_before, bin.height_before);
            bin.height_after = v_select(here, height_after, bin.height_after);
        }
        width_before = width;
        width = width_after;
        height_before = height;
        height = height_after;
        x = x1;
        y = y1;
    }
    return bin;
}

/* Steffen's slope between two bins of positive mean slopes. */
CF_INLINE cubic_slope CF_FN(cubic_steffen)(vreal before, vreal after, vreal width_before,
                                           vreal width_after) {
    vreal zero = v_set1(0), two = v_set1(2), scale = v_set1(1) / (width_before + width_after);
    vreal mean = v_fma(before, width_after, after * width_before) * scale;
    vreal min = two * v_min(before, after);
    vmask clipped = v_lt(min, mean), by_before = v_and(clipped, v_lt(before, after));
    vmask by_after = v_and(clipped, v_le(after, before));
    cubic_slope d = {.value = v_select(clipped, min, mean)};
    d.mean_before = v_select(by_before, two, v_select(clipped, zero, width_after * scale));
    d.mean_after = v_select(by_after, two, v_select(clipped, zero, width_before * scale));
    d.width_before = v_select(clipped, zero, (after - mean) * scale);
    d.width_after = v_select(clipped, zero, (before - mean) * scale);
    return d;
}

/* The slope at an end, over the mean slope of its bin. */
CF_INLINE vreal CF_FN(cubic_end)(const spline_call *s, vreal params) {
    return v_fma(v_set1(3 - 3 * s->min_slope), v_sigmoid(params), v_set1(s->min_slope));
}

CF_INLINE void CF_FN(cubic_slopes)(const spline_call *s, const cubic_bin *bin, size_t f,
                                   size_t lane, cubic_point *p) {
    vreal before = bin->height_before / bin->width_before;
    vreal after = bin->height_after / bin->width_after;
    p->first = v_le(bin->index, v_set1(0));
    p->last = v_le(v_set1((real)(s->bins - 1)), bin->index);
    p->inner0 = CF_FN(cubic_steffen)(before, p->mean, bin->width_before, p->width);
    p->inner1 = CF_FN(cubic_steffen)(p->mean, after, p->width, bin->width_after);
    p->factor0 = CF_FN(cubic_end)(s, CF_FN(spline_param)(s, f, 2 * s->bins, lane));
    p->factor1 = CF_FN(cubic_end)(s, CF_FN(spline_param)(s, f, 2 * s->bins + 1, lane));
    p->slope0 = v_select(p->first, p->factor0 * p->mean, p->inner0.value);
    p->slope1 = v_select(p->last, p->factor1 * p->mean, p->inner1.value);
}

/* The curve within a bin, of height and width 1, with slopes a and b at its ends: by Bernstein's
 * polynomials, no term of which is negative. */
CF_INLINE vreal CF_FN(cubic_rise)(vreal a, vreal b, vreal z, vreal rest) {
    vreal inner = v_fma(a, rest * rest, (v_set1(3) - b) * (z * rest));
    return z * v_fma(z, z, inner);
}

/* Its slope, in any units: `mean` is 1 in those. */
CF_INLINE vreal CF_FN(cubic_tangent)(vreal a, vreal b, vreal mean, vreal min, vreal z, vreal rest) {
    vreal middle = v_fma(v_set1(3), mean, -(a + b));
    vreal outer = v_fma(a, rest * rest, b * (z * z));
    return v_max(v_min(min, v_min(a, b)), v_fma(middle + middle, z * rest, outer));
}

/* z of a given rise, from 0 to 1. */
CF_INLINE vreal CF_FN(cubic_solve)(vreal a, vreal b, vreal min, vreal rise) {
    vreal zero = v_set1(0), one = v_set1(1), two = v_set1(2), three = v_set1(3);
    vreal turn = three * (a + b - two);
    vreal z = (v_fma(two, a, b) - three) / v_select(v_eq(turn, zero), one, turn);
    vreal before = two;
    z = CF_FN(spline_unit)(z);
    for (int i = 0; i < CUBIC_STEPS; i++) {
        vreal rest = one - z;
        vreal slope = CF_FN(cubic_tangent)(a, b, one, min, z, rest);
        vreal error = CF_FN(cubic_rise)(a, b, z, rest) - rise;
        vreal next = CF_FN(spline_unit)(z - error / slope), step = v_abs(next - z);
        /* Each lane stops by itself: its neighbours' values change no bit of it. */
        vmask goes_on = v_and(v_lt(zero, step), v_lt(step, before));
        if (!v_any(goes_on))
            break;
        z = v_select(goes_on, next, z);
        before = v_select(goes_on, step, zero);
    }
    /* Where the rise is NaN, no step was taken. */
    return v_select(v_eq(rise, rise), z, rise);
}

CF_INLINE cubic_point CF_FN(cubic_locate)(const spline_call *s, const cubic_bin *bin, size_t f,
                                          size_t lane, vreal value) {
    cubic_point p = {.width = bin->width, .mean = bin->height / bin->width};
    vreal one = v_set1(1), min = v_min(v_set1(s->min_slope), v_set1((real)0.5));
    CF_FN(cubic_slopes)(s, bin, f, lane, &p);
    spline_step step = s->inverse ? CF_FN(spline_step_of)(bin->y0, bin->y1, value)
                                  : CF_FN(spline_step_of)(bin->x0, bin->x1, value);
    vreal near = v_select(step.far, p.slope1, p.slope0) / p.mean;
    vreal far = v_select(step.far, p.slope0, p.slope1) / p.mean;
    if (s->inverse) {
        step.size = CF_FN(cubic_solve)(near, far, min, step.size);
        p.value = CF_FN(spline_from_nearer)(step.far, bin->x0, bin->x1, step.size);
    } else {
        vreal rise = CF_FN(cubic_rise)(near, far, step.size, one - step.size);
        p.value = CF_FN(spline_from_nearer)(step.far, bin->y0, bin->y1, rise);
    }
    vreal other = one - step.size;
    p.z = v_select(step.far, other, step.size);
    p.rest = v_select(step.far, step.size, other);
    p.slope = CF_FN(cubic_tangent)(p.slope0, p.slope1, p.mean, min * p.mean, p.z, p.rest);
    return p;
}

static void CF_FN(cubic_spline)(const cf_call *call) {
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
            cubic_bin bin = CF_FN(cubic_find)(&s, &widths, &heights, within);
            cubic_point point = CF_FN(cubic_locate)(&s, &bin, f, lane, within);
            vreal y = CF_FN(spline_value)(&s, value, point.value, point.slope, point.slope0,
                                          point.slope1, &derivative);
            v_store(out + f * call->lanes + lane, y);
            sum = sum + v_log(derivative);
        }
        v_store(log_det + lane, sum);
    }
}

/* Cotangents of x and of what sets the bin's piece of the curve: where it begins, its size, the
 * slopes at its knots. The cotangent of x0 is minus that of x. */
typedef struct {
    vreal x, y0, width, height, slope0, slope1;
} cubic_cotangent;

/* Given the cotangents of y and of the logarithm of the derivative. */
CF_INLINE cubic_cotangent CF_FN(cubic_pull)(const cubic_point *p, vreal dy, vreal dlog) {
    vreal two = v_set1(2), three = v_set1(3), z = p->z, rest = p->rest, u = z * rest;
    vreal dslope = dlog / p->slope, over_width = v_set1(1) / p->width;
    vreal middle = v_fma(three, p->mean, -(p->slope0 + p->slope1));
    vreal turn = v_fma(p->slope1, z, v_fma(middle, rest - z, -p->slope0 * rest));
    vreal dmean = v_set1(6) * dslope * u * over_width; /* over the width */
    cubic_cotangent c = {.y0 = dy};
    c.x = v_fma(dy, p->slope, two * dslope * turn * over_width);
    c.height = v_fma(dy * z * z, v_fma(two, rest, v_set1(1)), dmean);
    c.width = v_fma(dy * u, v_fma(p->slope0, rest, -p->slope1 * z), -dmean * p->mean) - c.x * z;
    c.slope0 = v_fma(dy * p->width * u, rest, dslope * rest * (rest - two * z));
    c.slope1 = v_fma(-dy * p->width * u, z, dslope * z * (z - two * rest));
    return c;
}

/* The cotangents where the curve is within the ends, and *dx. The gradient of an inverse is that
 * of the curve at the point found: x(y) changes by -dy / (dy/dx). */
CF_INLINE cubic_cotangent CF_FN(cubic_pull_inside)(const spline_call *s, const cubic_point *p,
                                                   vreal dout, vreal dlog, vreal *dx) {
    if (!s->inverse) {
        cubic_cotangent c = CF_FN(cubic_pull)(p, dout, dlog);
        *dx = c.x;
        return c;
    }
    cubic_cotangent of_log = CF_FN(cubic_pull)(p, v_set1(0), dlog);
    *dx = (dout - of_log.x) / p->slope;
    return CF_FN(cubic_pull)(p, -*dx, -dlog);
}

/* The cotangent of the size of bin k, given those of all bins before the point's own (`before`),
 * of its own and of its neighbours. */
CF_INLINE vreal CF_FN(cubic_size_cotangent)(int k, vreal index, vreal before, vreal last, vreal own,
                                            vreal next) {
    vreal zero = v_set1(0), one = v_set1(1), at = v_set1((real)k);
    vreal d = CF_FN(spline_bin_cotangent)(k, index, before, own);
    d = d + v_select(v_eq(at, index - one), last, zero);
    return d + v_select(v_eq(at, index + one), next, zero);
}

/* To the unconstrained slope at an end. */
CF_INLINE void CF_FN(cubic_pull_end)(const spline_call *s, const cubic_point *p, size_t f,
                                     int number, size_t lane, vmask here, vreal slope) {
    vreal sigmoid = v_sigmoid(CF_FN(spline_param)(s, f, number, lane));
    vreal curve = v_set1(3 - 3 * s->min_slope) * sigmoid * (v_set1(1) - sigmoid);
    v_store(CF_FN(spline_draw)(s, f, number, lane),
            v_select(here, slope * p->mean * curve, v_set1(0)));
}

/* Through the slopes at the knots to the sizes of the bin and its neighbours, and to unconstrained
 * parameters. */
CF_INLINE void CF_FN(cubic_pull_param)(const spline_call *s, const spline_axis *widths,
                                       const spline_axis *heights, const cubic_bin *bin,
                                       const cubic_point *p, const cubic_cotangent *c, size_t f,
                                       size_t lane) {
    vreal zero = v_set1(0), before = bin->height_before / bin->width_before;
    vreal after = bin->height_after / bin->width_after;
    vreal inner0 = v_select(p->first, zero, c->slope0);
    vreal inner1 = v_select(p->last, zero, c->slope1);
    vreal dmean = v_select(p->first, c->slope0 * p->factor0, inner0 * p->inner0.mean_after) +
                  v_select(p->last, c->slope1 * p->factor1, inner1 * p->inner1.mean_before);
    vreal height = c->height + dmean / p->width;
    vreal width = c->width - dmean * p->mean / p->width;
    width = v_fma(inner0, p->inner0.width_after, v_fma(inner1, p->inner1.width_before, width));
    vreal height_last = inner0 * p->inner0.mean_before / bin->width_before;
    vreal width_last = v_fma(inner0, p->inner0.width_before, -height_last * before);
    vreal height_next = inner1 * p->inner1.mean_after / bin->width_after;
    vreal width_next = v_fma(inner1, p->inner1.width_after, -height_next * after);
    vreal of_width[CF_MAX_BINS], of_height[CF_MAX_BINS];
    for (int k = 0; k < s->bins; k++) {
        of_width[k] =
            CF_FN(cubic_size_cotangent)(k, bin->index, -c->x, width_last, width, width_next);
        of_height[k] =
            CF_FN(cubic_size_cotangent)(k, bin->index, c->y0, height_last, height, height_next);
    }
    CF_FN(spline_pull_sizes)(s, widths, f, 0, lane, of_width);
    CF_FN(spline_pull_sizes)(s, heights, f, s->bins, lane, of_height);
    CF_FN(cubic_pull_end)(s, p, f, 2 * s->bins, lane, p->first, c->slope0);
    CF_FN(cubic_pull_end)(s, p, f, 2 * s->bins + 1, lane, p->last, c->slope1);
}

static void CF_FN(cubic_spline_gradient)(const cf_call *call) {
    spline_call s = CF_FN(spline_open)(call);
    vreal zero = v_set1(0);
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal dlog = v_load(cf_feature_row(call, 2, s.features) + lane);
        for (size_t f = 0; f < s.features; f++) {
            vreal value = v_load(cf_feature_row(call, 0, f) + lane);
            vreal dout = v_load(cf_feature_row(call, 2, f) + lane), dx, slope0, slope1;
            vreal within = CF_FN(spline_clamp)(&s, value);
            vmask out = CF_FN(spline_is_outside)(&s, value);
            spline_axis widths, heights;
            CF_FN(spline_shares)(&s, f, 0, lane, &widths);
            CF_FN(spline_shares)(&s, f, s.bins, lane, &heights);
            cubic_bin bin = CF_FN(cubic_find)(&s, &widths, &heights, within);
            cubic_point point = CF_FN(cubic_locate)(&s, &bin, f, lane, within);
            cubic_cotangent c = CF_FN(cubic_pull_inside)(&s, &point, dout, dlog, &dx);
            vreal dx_outside = CF_FN(spline_pull_tail)(&s, point.slope0, point.slope1, value, dout,
                                                       dlog, &slope0, &slope1);
            c.x = v_select(out, zero, c.x);
            c.y0 = v_select(out, zero, c.y0);
            c.width = v_select(out, zero, c.width);
            c.height = v_select(out, zero, c.height);
            c.slope0 = v_select(out, slope0, c.slope0);
            c.slope1 = v_select(out, slope1, c.slope1);
            v_store((real *)call->out + f * call->lanes + lane, v_select(out, dx_outside, dx));
            CF_FN(cubic_pull_param)(&s, &widths, &heights, &bin, &point, &c, f, lane);
        }
    }
}

#endif
