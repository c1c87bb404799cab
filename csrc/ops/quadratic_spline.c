/* Monotone piecewise-quadratic splines with their log-determinant (Müller et al. 2019, Neural
 * importance sampling, arXiv:1808.03856, section 4.2): dy/dx, the density, is linear between knots.
 * Unconstrained parameters: K widths, then the logarithms of the densities at the knots, up to the
 * factor that makes their integral one.
 *
 * With free tails all K + 1 densities are unconstrained. With linear tails the two at the ends are
 * 1, and the K - 1 others are divided by their own mean
 *
 *     c = sum_k e_k a_k / sum_k a_k,    a_k = half the widths of the two bins about knot k,
 *
 * which makes the integral one again; sum a_k is 1 if all densities are unconstrained, so that both
 * cases are one formula. A minimum density m is added last: m + (1 - m) e_k / c has the same
 * integral. */
#ifndef CF_FN

#include "ops/spline_axis.h"

#define CF_BODY "ops/quadratic_spline.c"
#include "simd/instantiate.h"

const cf_op cf_quadratic_spline_op = {
    .name = "quadratic spline",
    .params = sizeof(cf_spline_params),
    .kernel = CF_VERSIONS(quadratic_spline),
    .gradient = cf_spline_rule,
};

const cf_op cf_quadratic_spline_gradient_op = {
    .name = "quadratic spline gradient",
    .params = sizeof(cf_spline_params),
    .kernel = CF_VERSIONS(quadratic_spline_gradient),
    .gradient = cf_spline_gradient_rule,
};

#else

#include "ops/spline_axis.h"

#undef quadratic_densities
#undef quadratic_bin
#undef quadratic_point
#undef quadratic_cotangent
#define quadratic_densities CF_FN(cf_quadratic_densities)
#define quadratic_bin CF_FN(cf_quadratic_bin)
#define quadratic_point CF_FN(cf_quadratic_point)
#define quadratic_cotangent CF_FN(cf_quadratic_cotangent)

/* At the knots, before the minimum density is added; and the sum of the a_k of knots with
 * unconstrained ones. */
typedef struct {
    vreal at[CF_MAX_BINS + 1], weight;
} quadratic_densities;

/* The bin in which each lane's point lies: its knots and the densities there. Its width is not x1 -
 * x0, whose rounding would reach y multiplied by the density. */
typedef struct {
    vreal index, x0, x1, y0, y1, width, density0, density1;
} quadratic_bin;

/* A point within its bin: z from 0 to 1, 1 - z, and the value of the map just applied. */
typedef struct {
    vreal z, rest, value, slope;
} quadratic_point;

/* The first knot with an unconstrained density, and the last. */
CF_INLINE int CF_FN(quadratic_first)(const spline_call *s) {
    return s->tails == CF_TAILS_FREE ? 0 : 1;
}

CF_INLINE int CF_FN(quadratic_last)(const spline_call *s) {
    return s->tails == CF_TAILS_FREE ? s->bins : s->bins - 1;
}

/* Where the unconstrained density of a knot lies. */
CF_INLINE int CF_FN(quadratic_param)(const spline_call *s, int knot) {
    return s->bins + knot - CF_FN(quadratic_first)(s);
}

/* a_k: half the widths of the bins about a knot, as a share of the span. */
CF_INLINE vreal CF_FN(quadratic_weight)(const spline_call *s, const spline_axis *widths, int knot) {
    vreal sum = v_set1(0);
    if (knot > 0)
        sum = sum + CF_FN(spline_size)(s, widths, knot - 1);
    if (knot < s->bins)
        sum = sum + CF_FN(spline_size)(s, widths, knot);
    return sum * v_set1((real)0.5);
}

CF_INLINE void CF_FN(quadratic_open)(const spline_call *s, const spline_axis *widths, size_t f,
                                     size_t lane, quadratic_densities *e) {
    int first = CF_FN(quadratic_first)(s), last = CF_FN(quadratic_last)(s);
    e->at[0] = e->at[s->bins] = e->weight = v_set1(1);
    if (first > last)
        return;
    vreal max = v_set1(-V_INFINITY), sum = v_set1(0), weights = sum;
    for (int k = first; k <= last; k++) {
        e->at[k] =
            v_set1(s->factor) * CF_FN(spline_param)(s, f, CF_FN(quadratic_param)(s, k), lane);
        max = v_max(e->at[k], max);
    }
    for (int k = first; k <= last; k++) {
        vreal weight = CF_FN(quadratic_weight)(s, widths, k);
        e->at[k] = v_exp(e->at[k] - max);
        sum = v_fma(e->at[k], weight, sum);
        weights = weights + weight;
    }
    vreal scale = weights / sum;
    for (int k = first; k <= last; k++)
        e->at[k] = e->at[k] * scale;
    e->weight = weights;
}

CF_INLINE vreal CF_FN(quadratic_density)(const spline_call *s, const quadratic_densities *e,
                                         int knot) {
    return v_fma(e->at[knot], v_set1(1 - s->min_slope), v_set1(s->min_slope));
}

/* The bin of `value`, which lies between the ends: on the y axis if the map is inverted. */
CF_INLINE quadratic_bin CF_FN(quadratic_find)(const spline_call *s, const spline_axis *widths,
                                              const quadratic_densities *e, vreal value) {
    vreal x = v_set1(s->low), y = x, density = CF_FN(quadratic_density)(s, e, 0);
    quadratic_bin bin = {.index = v_set1(0)};
    for (int k = 0; k < s->bins; k++) {
        vreal x1 = CF_FN(spline_next)(s, widths, k, x);
        vreal width = CF_FN(spline_size)(s, widths, k) * v_set1(s->span);
        vreal density1 = CF_FN(quadratic_density)(s, e, k + 1);
        vreal mean = (density + density1) * v_set1((real)0.5);
        vreal y1 = k == s->bins - 1 ? v_set1(s->high) : v_fma(mean, width, y);
        if (k == 0) {
            bin = (quadratic_bin){v_set1(0), x, x1, y, y1, width, density, density1};
        } else {
            vmask here = v_le(s->inverse ? y : x, value);
            bin.index = v_select(here, v_set1((real)k), bin.index);
            bin.x0 = v_select(here, x, bin.x0);
            bin.x1 = v_select(here, x1, bin.x1);
            bin.y0 = v_select(here, y, bin.y0);
            bin.y1 = v_select(here, y1, bin.y1);
            bin.width = v_select(here, width, bin.width);
            bin.density0 = v_select(here, density, bin.density0);
            bin.density1 = v_select(here, density1, bin.density1);
        }
        x = x1;
        y = y1;
        density = density1;
    }
    return bin;
}

/* Over the width: the integral up to z of a density that goes from `near` at 0 to `far` at 1. */
CF_INLINE vreal CF_FN(quadratic_area)(vreal near, vreal far, vreal z) {
    vreal half = z * v_set1((real)0.5);
    return z * v_fma(near, v_set1(1) - half, far * half);
}

/* z of a given area: the root of (far - near) z^2 / 2 + near z - area, up to half the bin's area,
 * so that nothing cancels: the square of the density at z is at least half that of `near`. */
CF_INLINE vreal CF_FN(quadratic_solve)(vreal near, vreal far, vreal area) {
    vreal two = v_set1(2);
    vreal square = v_fma(two * (far - near), area, near * near);
    return CF_FN(spline_unit)(two * area / (near + v_sqrt(v_max(v_set1(0), square))));
}

CF_INLINE quadratic_point CF_FN(quadratic_locate)(const spline_call *s, const quadratic_bin *bin,
                                                  vreal value) {
    quadratic_point p;
    vreal one = v_set1(1), mean = (bin->density0 + bin->density1) * v_set1((real)0.5);
    spline_step step = s->inverse ? CF_FN(spline_step_of)(bin->y0, bin->y1, value)
                                  : CF_FN(spline_step_of)(bin->x0, bin->x1, value);
    vreal near = v_select(step.far, bin->density1, bin->density0);
    vreal far = v_select(step.far, bin->density0, bin->density1);
    if (s->inverse) {
        step.size = CF_FN(quadratic_solve)(near, far, step.size * mean);
        p.value = CF_FN(spline_from_nearer)(step.far, bin->x0, bin->x1, step.size);
    } else {
        vreal area = CF_FN(quadratic_area)(near, far, step.size);
        p.value = CF_FN(spline_from_nearer)(step.far, bin->y0, bin->y1, area / mean);
    }
    p.z = v_select(step.far, one - step.size, step.size);
    p.rest = v_select(step.far, step.size, one - step.size);
    p.slope = v_fma(bin->density0, p.rest, bin->density1 * p.z);
    return p;
}

static void CF_FN(quadratic_spline)(const cf_call *call) {
    spline_call s = CF_FN(spline_open)(call);
    real *out = call->out, *log_det = out + s.features * call->lanes;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < s.features; f++) {
            vreal value = v_load(cf_feature_row(call, 0, f) + lane), derivative;
            vreal within = CF_FN(spline_clamp)(&s, value);
            spline_axis widths;
            quadratic_densities densities;
            CF_FN(spline_shares)(&s, f, 0, lane, &widths);
            CF_FN(quadratic_open)(&s, &widths, f, lane, &densities);
            quadratic_bin bin = CF_FN(quadratic_find)(&s, &widths, &densities, within);
            quadratic_point point = CF_FN(quadratic_locate)(&s, &bin, within);
            vreal y = CF_FN(spline_value)(&s, value, point.value, point.slope, bin.density0,
                                          bin.density1, &derivative);
            v_store(out + f * call->lanes + lane, y);
            sum = sum + v_log(derivative);
        }
        v_store(log_det + lane, sum);
    }
}

/* Cotangents of x and of what sets the bin's piece of the curve: where it begins, its width, the
 * densities at its knots. The cotangent of x0 is minus that of x. */
typedef struct {
    vreal x, y0, width, density0, density1;
} quadratic_cotangent;

/* Given the cotangents of y and of the logarithm of the derivative. */
CF_INLINE quadratic_cotangent CF_FN(quadratic_pull)(const quadratic_bin *bin,
                                                    const quadratic_point *p, vreal dy,
                                                    vreal dlog) {
    vreal half = v_set1((real)0.5), rise = bin->density1 - bin->density0;
    vreal dslope = dlog / p->slope, square = half * p->z * p->z;
    quadratic_cotangent c = {.y0 = dy};
    c.x = v_fma(dy, p->slope, dslope * rise / bin->width);
    c.width = -rise * v_fma(dy, square, dslope * p->z / bin->width);
    c.density0 = v_fma(dy * bin->width, p->z - square, dslope * p->rest);
    c.density1 = v_fma(dy * bin->width, square, dslope * p->z);
    return c;
}

/* The cotangents where the curve is within the ends, and *dx. The gradient of an inverse is that
 * of the curve at the point found: x(y) changes by -dy / (dy/dx). */
CF_INLINE quadratic_cotangent CF_FN(quadratic_pull_inside)(const spline_call *s,
                                                           const quadratic_bin *bin,
                                                           const quadratic_point *p, vreal dout,
                                                           vreal dlog, vreal *dx) {
    if (!s->inverse) {
        quadratic_cotangent c = CF_FN(quadratic_pull)(bin, p, dout, dlog);
        *dx = c.x;
        return c;
    }
    quadratic_cotangent of_log = CF_FN(quadratic_pull)(bin, p, v_set1(0), dlog);
    *dx = (dout - of_log.x) / p->slope;
    return CF_FN(quadratic_pull)(bin, p, -*dx, -dlog);
}

/* The cotangents of all densities, and *mean, which is subtracted from each for their common
 * divisor: a density moves y at its own bins' ends by half their widths, if the point lies beyond
 * them. */
CF_INLINE void CF_FN(quadratic_pull_densities)(const spline_call *s, const spline_axis *widths,
                                               const quadratic_densities *e,
                                               const quadratic_bin *bin,
                                               const quadratic_cotangent *c, vreal *density,
                                               vreal *mean) {
    vreal zero = v_set1(0), half = c->y0 * v_set1((real)0.5 * s->span), before = zero;
    int first = CF_FN(quadratic_first)(s), last = CF_FN(quadratic_last)(s);
    *mean = zero;
    for (int k = 0; k <= last; k++) {
        vreal at = v_set1((real)k), d = before;
        d = d + v_select(v_eq(at, bin->index), c->density0, zero);
        d = d + v_select(v_eq(at, bin->index + v_set1(1)), c->density1, zero);
        if (k < s->bins) {
            vreal moved = half * CF_FN(spline_size)(s, widths, k);
            before = v_select(v_lt(at, bin->index), moved, zero);
            d = d + before;
        }
        density[k] = d;
        if (k >= first)
            *mean = v_fma(d, e->at[k], *mean);
    }
    *mean = *mean / e->weight;
}

CF_INLINE void CF_FN(quadratic_pull_param)(const spline_call *s, const spline_axis *widths,
                                           const quadratic_densities *e, const quadratic_bin *bin,
                                           const quadratic_cotangent *c, size_t f, size_t lane) {
    vreal one = v_set1(1), half = v_set1((real)0.5), rest = v_set1(1 - s->min_slope);
    vreal density[CF_MAX_BINS + 1], width[CF_MAX_BINS], mean;
    CF_FN(quadratic_pull_densities)(s, widths, e, bin, c, density, &mean);
    for (int k = CF_FN(quadratic_first)(s); k <= CF_FN(quadratic_last)(s); k++) {
        vreal d = v_fma(-mean, CF_FN(quadratic_weight)(s, widths, k), density[k]);
        v_store(CF_FN(spline_draw)(s, f, CF_FN(quadratic_param)(s, k), lane),
                e->at[k] * d * rest * v_set1(s->factor));
    }
    /* Widths are also the weights of the densities' mean; those at the ends of linear tails are
     * 1. */
    vreal of_mean = mean * rest * v_set1((real)0.5 / s->span);
    for (int k = 0; k < s->bins; k++) {
        vreal sum = CF_FN(quadratic_density)(s, e, k) + CF_FN(quadratic_density)(s, e, k + 1);
        vreal before = v_fma(c->y0 * half, sum, -c->x);
        vreal own = CF_FN(spline_bin_cotangent)(k, bin->index, before, c->width);
        width[k] = v_fma(-of_mean, (e->at[k] - one) + (e->at[k + 1] - one), own);
    }
    CF_FN(spline_pull_sizes)(s, widths, f, 0, lane, width);
}

static void CF_FN(quadratic_spline_gradient)(const cf_call *call) {
    spline_call s = CF_FN(spline_open)(call);
    vreal zero = v_set1(0);
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal dlog = v_load(cf_feature_row(call, 2, s.features) + lane);
        for (size_t f = 0; f < s.features; f++) {
            vreal value = v_load(cf_feature_row(call, 0, f) + lane);
            vreal dout = v_load(cf_feature_row(call, 2, f) + lane), dx, density0, density1;
            vreal within = CF_FN(spline_clamp)(&s, value);
            vmask out = CF_FN(spline_is_outside)(&s, value);
            spline_axis widths;
            quadratic_densities densities;
            CF_FN(spline_shares)(&s, f, 0, lane, &widths);
            CF_FN(quadratic_open)(&s, &widths, f, lane, &densities);
            quadratic_bin bin = CF_FN(quadratic_find)(&s, &widths, &densities, within);
            quadratic_point point = CF_FN(quadratic_locate)(&s, &bin, within);
            quadratic_cotangent c = CF_FN(quadratic_pull_inside)(&s, &bin, &point, dout, dlog, &dx);
            vreal dx_outside = CF_FN(spline_pull_tail)(&s, bin.density0, bin.density1, value, dout,
                                                       dlog, &density0, &density1);
            c.x = v_select(out, zero, c.x);
            c.y0 = v_select(out, zero, c.y0);
            c.width = v_select(out, zero, c.width);
            c.density0 = v_select(out, density0, c.density0);
            c.density1 = v_select(out, density1, c.density1);
            v_store((real *)call->out + f * call->lanes + lane, v_select(out, dx_outside, dx));
            CF_FN(quadratic_pull_param)(&s, &widths, &densities, &bin, &c, f, lane);
        }
    }
}

#endif
