/* The curves of splines as formulas of ops that have rules, for gradients of gradients. Sizes and
 * slopes of all bins are lists [K][F]; those of the bin in which a number lies are picked by a list
 * that is 1 there and 0 elsewhere. Names and equations are those of the kernels' files. */
#include "ops/splines.h"

#include <math.h>

/* Numbers x of F features with their unconstrained parameters, and the bin of each. */
typedef struct {
    cf_builder *b;
    const cf_spline *spline;
    size_t features, bins;
    double low, span, min_slope;
    cf_value x, params;
    cf_value here, before; /* [K][F]: 1 for the bin of x, and for those that end before it */
} curve;

static curve open_curve(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params) {
    return (curve){.b = b,
                   .spline = spline,
                   .features = cf_builder_status(b) == CF_OK ? cf_value_size(b, x) : 0,
                   .bins = (size_t)spline->bins,
                   .low = spline->low,
                   .span = spline->high - spline->low,
                   .min_slope = spline->min_slope,
                   .x = x,
                   .params = params};
}

/* Lines [first, first + count) of a list. */
static cf_value lines(const curve *c, cf_value list, size_t first, size_t count) {
    if (count == 0)
        return CF_NO_VALUE;
    return cf_slice(c->b, list, first * c->features, count * c->features);
}

static cf_value constant(const curve *c, size_t count, double number) {
    return cf_constant(c->b, CF_BATCHED, count * c->features, number);
}

static cf_value joined(const curve *c, cf_value first, cf_value inner, cf_value last) {
    return cf_concat(c->b, (cf_value[]){first, inner, last}, 3);
}

static cf_value sum_bins(const curve *c, cf_value list, size_t count) {
    return cf_sum_groups(c->b, cf_transpose(c->b, list, count), c->features);
}

/* Of a list [count][F], exp(list) over its sum. */
static cf_value softmax(const curve *c, cf_value list, size_t count) {
    cf_builder *b = c->b;
    cf_value sum = cf_log_sum_exp_groups(b, cf_transpose(b, list, count), c->features);
    return cf_exp(b, cf_subtract(b, list, cf_repeat_whole(b, sum, count)));
}

/* The sizes of bins, as shares of the span, by unconstrained parameters from `first` on. */
static cf_value sizes(const curve *c, size_t first) {
    double min = c->spline->min_bin;
    cf_value params =
        cf_scale_shift(c->b, lines(c, c->params, first, c->bins), c->spline->factor, 0.0);
    if (c->spline->form != CF_SPLINE_SOFTMAX)
        return softmax(c, cf_softclip(c->b, params, -log(c->min_slope) / 2.0), c->bins);
    return cf_scale_shift(c->b, softmax(c, params, c->bins), 1.0 - (double)c->bins * min, min);
}

/* Finds the bin of x between knots that are so far apart. */
static void find_bin(curve *c, cf_value widths) {
    cf_value end = CF_NO_VALUE, ends = end, passed = end;
    for (size_t k = 0; k + 1 < c->bins; k++) {
        end = cf_add_optional(c->b, end, lines(c, widths, k, 1));
        ends = cf_concat(c->b, (cf_value[]){ends, end}, 2);
    }
    if (c->bins > 1) {
        cf_value knots = cf_scale_shift(c->b, ends, c->span, c->low);
        cf_value x = cf_repeat_whole(c->b, c->x, c->bins - 1);
        passed = cf_greater_equal(c->b, cf_subtract(c->b, x, knots), 0.0);
    }
    c->before = cf_concat(c->b, (cf_value[]){passed, constant(c, 1, 0.0)}, 2);
    c->here = cf_concat(c->b, (cf_value[]){constant(c, 1, 1.0), passed}, 2);
    c->here = cf_subtract(c->b, c->here, c->before);
}

/* What a list [K][F] has for the bin of x. */
static cf_value pick(const curve *c, cf_value list) {
    return sum_bins(c, cf_multiply(c->b, c->here, list), c->bins);
}

/* The same of a list of knots [K + 1][F]: of that with which the bin begins, or of the next. */
static cf_value pick_knot(const curve *c, cf_value list, size_t next) {
    return pick(c, lines(c, list, next, c->bins));
}

/* Where the bin of x begins on an axis with bins of these sizes. */
static cf_value start(const curve *c, cf_value list) {
    return cf_scale_shift(c->b, sum_bins(c, cf_multiply(c->b, c->before, list), c->bins), c->span,
                          c->low);
}

/* A size in the units of the axis. */
static cf_value in_units(const curve *c, cf_value size) {
    return cf_scale_shift(c->b, size, c->span, 0.0);
}

/* The position of x in its bin, from 0 to 1. */
static cf_value position(const curve *c, cf_value widths) {
    cf_value way = cf_subtract(c->b, c->x, start(c, widths));
    return cf_divide(c->b, way, in_units(c, pick(c, widths)));
}

static cf_value one_less(cf_builder *b, cf_value z) {
    return cf_scale_shift(b, z, -1.0, 1.0);
}

/* a x + b y. */
static cf_value mix(cf_builder *b, cf_value a, cf_value x, cf_value c, cf_value y) {
    return cf_add(b, cf_multiply(b, a, x), cf_multiply(b, c, y));
}

/* ---- rational-quadratic ---- */

/* The slopes at all knots. */
static cf_value slopes(const curve *c) {
    cf_tails tails = c->spline->tails;
    size_t count = tails == CF_TAILS_FREE ? c->bins + 1 : c->bins - (tails == CF_TAILS_LINEAR);
    cf_value slope = lines(c, c->params, 2 * c->bins, count);
    if (count > 0 && c->spline->form == CF_SPLINE_SOFTMAX)
        slope = cf_scale_shift(c->b, cf_softplus(c->b, slope), 1.0, c->min_slope);
    else if (count > 0)
        slope = cf_exp(c->b, cf_softclip(c->b, slope, -log(c->min_slope)));
    if (tails == CF_TAILS_CIRCULAR)
        return cf_concat(c->b, (cf_value[]){slope, lines(c, slope, 0, 1)}, 2);
    cf_value one = tails == CF_TAILS_LINEAR ? constant(c, 1, 1.0) : CF_NO_VALUE;
    return joined(c, one, slope, one);
}

cf_value cf_rational_quadratic_formula(cf_builder *b, const cf_spline *spline, cf_value x,
                                       cf_value params, cf_value *slope) {
    curve c = open_curve(b, spline, x, params);
    cf_value widths = sizes(&c, 0), heights = sizes(&c, c.bins), knots = slopes(&c);
    find_bin(&c, widths);
    cf_value z = position(&c, widths), rest = one_less(b, z), u = cf_multiply(b, z, rest);
    cf_value height = pick(&c, heights), mean = cf_divide(b, height, pick(&c, widths));
    cf_value slope0 = pick_knot(&c, knots, 0), slope1 = pick_knot(&c, knots, 1);
    cf_value square = cf_multiply(b, z, z), twice = cf_scale_shift(b, mean, 2.0, 0.0);
    cf_value bend = cf_subtract(b, cf_add(b, slope0, slope1), twice);
    cf_value q = cf_add(b, mean, cf_multiply(b, bend, u));
    cf_value share = cf_divide(b, mix(b, mean, square, slope0, u), q);
    cf_value r = cf_divide(b, mean, q), d = mix(b, slope1, square, twice, u);
    d = cf_add(b, d, cf_multiply(b, slope0, cf_multiply(b, rest, rest)));
    *slope = cf_multiply(b, cf_multiply(b, r, r), d);
    return cf_add(b, start(&c, heights), cf_multiply(b, in_units(&c, height), share));
}

/* ---- linear ---- */

cf_value cf_linear_formula(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params,
                           cf_value *slope) {
    curve c = open_curve(b, spline, x, params);
    cf_value widths = constant(&c, c.bins, 1.0 / (double)c.bins), heights = sizes(&c, 0);
    find_bin(&c, widths);
    cf_value z = position(&c, widths), height = pick(&c, heights);
    *slope = cf_scale_shift(b, height, (double)c.bins, 0.0);
    return cf_add(b, start(&c, heights), cf_multiply(b, in_units(&c, height), z));
}

/* ---- quadratic ---- */

/* Half the widths of the bins about each knot with an unconstrained density: a_k. */
static cf_value weights(const curve *c, cf_value widths) {
    cf_value inner = CF_NO_VALUE, first = inner, last = inner;
    if (c->bins > 1)
        inner = cf_add(c->b, lines(c, widths, 0, c->bins - 1), lines(c, widths, 1, c->bins - 1));
    if (c->spline->tails == CF_TAILS_FREE) {
        first = lines(c, widths, 0, 1);
        last = lines(c, widths, c->bins - 1, 1);
    }
    return cf_scale_shift(c->b, joined(c, first, inner, last), 0.5, 0.0);
}

/* The densities at all knots. */
static cf_value densities(const curve *c, cf_value widths) {
    bool free = c->spline->tails == CF_TAILS_FREE;
    size_t count = free ? c->bins + 1 : c->bins - 1;
    if (count == 0)
        return constant(c, 2, 1.0);
    cf_value params =
        cf_scale_shift(c->b, lines(c, c->params, c->bins, count), c->spline->factor, 0.0);
    cf_value share = softmax(c, params, count), weight = weights(c, widths);
    cf_value mean = sum_bins(c, cf_multiply(c->b, share, weight), count);
    cf_value scale = cf_divide(c->b, sum_bins(c, weight, count), mean);
    cf_value density = cf_multiply(c->b, share, cf_repeat_whole(c->b, scale, count));
    density = cf_scale_shift(c->b, density, 1.0 - c->min_slope, c->min_slope);
    cf_value one = free ? CF_NO_VALUE : constant(c, 1, 1.0);
    return joined(c, one, density, one);
}

cf_value cf_quadratic_formula(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params,
                              cf_value *slope) {
    curve c = open_curve(b, spline, x, params);
    cf_value widths = sizes(&c, 0), density = densities(&c, widths);
    cf_value mean = cf_add(b, lines(&c, density, 0, c.bins), lines(&c, density, 1, c.bins));
    cf_value heights = cf_multiply(b, cf_scale_shift(b, mean, 0.5, 0.0), widths);
    find_bin(&c, widths);
    cf_value z = position(&c, widths), width = in_units(&c, pick(&c, widths));
    cf_value density0 = pick_knot(&c, density, 0), density1 = pick_knot(&c, density, 1);
    *slope = mix(b, density0, one_less(b, z), density1, z);
    cf_value half = cf_scale_shift(b, cf_add(b, density0, *slope), 0.5, 0.0);
    return cf_add(b, start(&c, heights), cf_multiply(b, cf_multiply(b, half, z), width));
}

/* ---- cubic ---- */

static cf_value minimum(cf_builder *b, cf_value x, cf_value y) {
    cf_value larger = cf_greater_equal(b, cf_subtract(b, x, y), 0.0); /* x is */
    return mix(b, larger, y, one_less(b, larger), x);
}

/* Steffen's slopes at the inner knots, between bins of these mean slopes. */
static cf_value inner_slopes(const curve *c, cf_value means, cf_value widths) {
    size_t count = c->bins - 1;
    cf_builder *b = c->b;
    if (count == 0)
        return CF_NO_VALUE;
    cf_value before = lines(c, means, 0, count), after = lines(c, means, 1, count);
    cf_value width_before = lines(c, widths, 0, count), width_after = lines(c, widths, 1, count);
    cf_value mean = mix(b, before, width_after, after, width_before);
    mean = cf_divide(b, mean, cf_add(b, width_before, width_after));
    return minimum(b, cf_scale_shift(b, minimum(b, before, after), 2.0, 0.0), mean);
}

/* The slope at an end of the bin k, by an unconstrained parameter. */
static cf_value end_slope(const curve *c, cf_value means, size_t k, size_t number) {
    cf_value share = cf_sigmoid(c->b, lines(c, c->params, number, 1));
    share = cf_scale_shift(c->b, share, 3.0 - 3.0 * c->min_slope, c->min_slope);
    return cf_multiply(c->b, share, lines(c, means, k, 1));
}

cf_value cf_cubic_formula(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params,
                          cf_value *slope) {
    curve c = open_curve(b, spline, x, params);
    cf_value widths = sizes(&c, 0), heights = sizes(&c, c.bins);
    cf_value means = cf_divide(b, heights, widths);
    cf_value knots =
        joined(&c, end_slope(&c, means, 0, 2 * c.bins), inner_slopes(&c, means, widths),
               end_slope(&c, means, c.bins - 1, 2 * c.bins + 1));
    find_bin(&c, widths);
    cf_value z = position(&c, widths), rest = one_less(b, z), u = cf_multiply(b, z, rest);
    cf_value mean = cf_divide(b, pick(&c, heights), pick(&c, widths));
    cf_value slope0 = pick_knot(&c, knots, 0), slope1 = pick_knot(&c, knots, 1);
    cf_value middle = cf_scale_shift(b, mean, 3.0, 0.0);
    middle = cf_subtract(b, middle, cf_add(b, slope0, slope1));
    cf_value square = cf_multiply(b, z, z);
    *slope = mix(b, slope0, cf_multiply(b, rest, rest), slope1, square);
    *slope = cf_add(b, *slope, cf_multiply(b, cf_scale_shift(b, middle, 2.0, 0.0), u));
    cf_value ends = cf_subtract(b, cf_multiply(b, slope0, rest), cf_multiply(b, slope1, z));
    cf_value rise = mix(b, ends, u, mean, cf_multiply(b, square, cf_scale_shift(b, z, -2.0, 3.0)));
    return cf_add(b, start(&c, heights), cf_multiply(b, in_units(&c, pick(&c, widths)), rise));
}
