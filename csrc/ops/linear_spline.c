/* Monotone piecewise-linear splines with their log-determinant (Müller et al. 2019, Neural
 * importance sampling, arXiv:1808.03856, section 4.1): K bins of one width, of which the K
 * unconstrained parameters set the heights.
 *
 * In a bin of the share m of the height the derivative is K m, by m itself rather than by the
 * difference of two knots, which would lose digits. */
#ifndef CF_FN

#include "ops/spline_axis.h"

#define CF_BODY "ops/linear_spline.c"
#include "simd/instantiate.h"

const cf_op cf_linear_spline_op = {
    .name = "linear spline",
    .params = sizeof(cf_spline_params),
    .kernel = CF_VERSIONS(linear_spline),
    .gradient = cf_spline_rule,
};

const cf_op cf_linear_spline_gradient_op = {
    .name = "linear spline gradient",
    .params = sizeof(cf_spline_params),
    .kernel = CF_VERSIONS(linear_spline_gradient),
    .gradient = cf_spline_gradient_rule,
};

#else

#include "ops/spline_axis.h"

#undef linear_bin
#undef linear_point
#define linear_bin CF_FN(cf_linear_bin)
#define linear_point CF_FN(cf_linear_point)

/* The bin in which each lane's point lies, and its height as a share of all. */
typedef struct {
    vreal index, x0, x1, y0, y1, share;
} linear_bin;

/* A point within its bin: z from 0 to 1, and the value of the map just applied. */
typedef struct {
    vreal z, value, slope;
} linear_point;

static inline vreal CF_FN(linear_knot)(const spline_call *s, int k) {
    return v_set1(k == s->bins ? s->high : s->low + s->span * ((real)k / (real)s->bins));
}

/* The bin of `value`, which lies between the ends: on the y axis if the map is inverted. */
CF_INLINE linear_bin CF_FN(linear_find)(const spline_call *s, const spline_axis *heights,
                                        vreal value) {
    vreal y = v_set1(s->low);
    linear_bin bin = {.index = v_set1(0)};
    for (int k = 0; k < s->bins; k++) {
        vreal x = CF_FN(linear_knot)(s, k), x1 = CF_FN(linear_knot)(s, k + 1);
        vreal y1 = CF_FN(spline_next)(s, heights, k, y);
        vreal share = CF_FN(spline_size)(s, heights, k);
        if (k == 0) {
            bin = (linear_bin){v_set1(0), x, x1, y, y1, share};
        } else {
            vmask here = v_le(s->inverse ? y : x, value);
            bin.index = v_select(here, v_set1((real)k), bin.index);
            bin.x0 = v_select(here, x, bin.x0);
            bin.x1 = v_select(here, x1, bin.x1);
            bin.y0 = v_select(here, y, bin.y0);
            bin.y1 = v_select(here, y1, bin.y1);
            bin.share = v_select(here, share, bin.share);
        }
        y = y1;
    }
    return bin;
}

CF_INLINE linear_point CF_FN(linear_locate)(const spline_call *s, const linear_bin *bin,
                                            vreal value) {
    spline_step step = s->inverse ? CF_FN(spline_step_of)(bin->y0, bin->y1, value)
                                  : CF_FN(spline_step_of)(bin->x0, bin->x1, value);
    vreal start = s->inverse ? bin->x0 : bin->y0, end = s->inverse ? bin->x1 : bin->y1;
    linear_point p = {.value = CF_FN(spline_from_nearer)(step.far, start, end, step.size)};
    p.z = v_select(step.far, v_set1(1) - step.size, step.size);
    /* NaN where the value is NaN. */
    p.slope = v_select(v_eq(p.z, p.z), bin->share * v_set1((real)s->bins), p.z);
    return p;
}

static void CF_FN(linear_spline)(const cf_call *call) {
    spline_call s = CF_FN(spline_open)(call);
    real *out = call->out, *log_det = out + s.features * call->lanes;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < s.features; f++) {
            vreal value = v_load(cf_feature_row(call, 0, f) + lane), derivative;
            vreal within = CF_FN(spline_clamp)(&s, value);
            spline_axis heights;
            CF_FN(spline_shares)(&s, f, 0, lane, &heights);
            linear_bin bin = CF_FN(linear_find)(&s, &heights, within);
            linear_point point = CF_FN(linear_locate)(&s, &bin, within);
            vreal y = CF_FN(spline_value)(&s, value, point.value, point.slope, point.slope,
                                          point.slope, &derivative);
            v_store(out + f * call->lanes + lane, y);
            sum = sum + v_log(derivative);
        }
        v_store(log_det + lane, sum);
    }
}

/* The logarithm of the derivative does not change within a bin. The gradient of an inverse is that
 * of the curve at the point found: x(y) changes by -dy / (dy/dx). */
static void CF_FN(linear_spline_gradient)(const cf_call *call) {
    spline_call s = CF_FN(spline_open)(call);
    vreal zero = v_set1(0);
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal dlog = v_load(cf_feature_row(call, 2, s.features) + lane);
        for (size_t f = 0; f < s.features; f++) {
            vreal value = v_load(cf_feature_row(call, 0, f) + lane);
            vreal dout = v_load(cf_feature_row(call, 2, f) + lane);
            vreal within = CF_FN(spline_clamp)(&s, value);
            vmask out = CF_FN(spline_is_outside)(&s, value);
            spline_axis heights;
            CF_FN(spline_shares)(&s, f, 0, lane, &heights);
            linear_bin bin = CF_FN(linear_find)(&s, &heights, within);
            linear_point p = CF_FN(linear_locate)(&s, &bin, within);
            vreal dx = s.inverse ? dout / p.slope : dout * p.slope;
            vreal dy = s.inverse ? -dx : dout, of_log = dlog / (bin.share * v_set1(s.span));
            vreal d1 = v_fma(dy, p.z, s.inverse ? -of_log : of_log);
            dy = v_select(out, zero, dy);
            d1 = v_select(out, zero, d1);
            v_store((real *)call->out + f * call->lanes + lane, v_select(out, dout, dx));
            CF_FN(spline_pull_axis)(&s, &heights, f, 0, lane, bin.index, dy - d1, d1);
        }
    }
}

#endif
