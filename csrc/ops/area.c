/* Integrals of exponentials, by one Gauss-Legendre rule each, up to where nothing is left. No term
 * is subtracted from another: they keep their digits for short intervals and far tails.
 *
 * d/da of order k is minus order k + 1, and d/dy is the density, so that gradients of any order are
 * of the same two ops. */
#ifndef CF_FN

#include "base/quadrature.h"
#include "ops/elementwise.h"
#include "ops/special.h"

enum { AREA_POINTS = 32 };

typedef struct {
    int kind;
    unsigned order;
    double point[AREA_POINTS], weight[AREA_POINTS]; /* of the integral alone */
} area_params;

#define CF_BODY "ops/area.c"
#include "simd/instantiate.h"

/* dg/dy */
static cf_value slope_of(cf_builder *b, cf_area_kind kind, cf_value y) {
    if (kind == CF_AREA_CIRCLE)
        return cf_cosine(b, y, 0.15915494309189535, -0.25);
    return cf_expm1(b, y);
}

/* The density's derivative in y: exp(-a g - h) (k g^(k - 1) g' - g^k (a g' + h')). */
static cf_value bend_of(cf_builder *b, const area_params *p, cf_value a, cf_value y,
                        cf_value density) {
    cf_area_kind kind = (cf_area_kind)p->kind;
    cf_value rate =
        kind == CF_AREA_NORMAL ? cf_add(b, a, y) : cf_multiply(b, a, slope_of(b, kind, y));
    cf_value bend = cf_multiply(b, cf_scale_shift(b, density, -1.0, 0.0), rate);
    if (p->order == 0)
        return bend;
    cf_value before = cf_area_density(b, kind, p->order - 1, a, y);
    if (kind != CF_AREA_NORMAL)
        before = cf_multiply(b, before, slope_of(b, kind, y));
    return cf_add(b, bend, cf_scale_shift(b, before, (double)p->order, 0.0));
}

static void density_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    const area_params *p = node->params;
    cf_value a = node->operand[0], y = node->operand[1];
    if (needed[0]) {
        cf_value next = cf_area_density(b, (cf_area_kind)p->kind, p->order + 1, a, y);
        dx[0] = cf_multiply(b, cf_scale_shift(b, dout, -1.0, 0.0), next);
    }
    if (needed[1])
        dx[1] = cf_multiply(b, dout, bend_of(b, p, a, y, out));
}

static void area_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    const area_params *p = node->params;
    cf_area_kind kind = (cf_area_kind)p->kind;
    cf_value a = node->operand[0], y = node->operand[1];
    (void)out;
    if (needed[0])
        dx[0] = cf_multiply(b, cf_scale_shift(b, dout, -1.0, 0.0),
                            cf_area(b, kind, p->order + 1, a, y));
    if (needed[1])
        dx[1] = cf_multiply(b, dout, cf_area_density(b, kind, p->order, a, y));
}

static const cf_op area_op = {
    .name = "area",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(area_params),
    .elementwise = CF_VERSIONS(area),
    .gradient = area_rule,
};

static const cf_op density_op = {
    .name = "density of an area",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(area_params),
    .elementwise = CF_VERSIONS(area_density),
    .gradient = density_rule,
};

cf_value cf_area(cf_builder *b, cf_area_kind kind, unsigned order, cf_value a, cf_value y) {
    area_params params = {.kind = (int)kind, .order = order};
    cf_gauss_legendre(AREA_POINTS, params.point, params.weight);
    return cf_elementwise_op(b, &area_op, 2, (cf_value[]){a, y}, CF_PARAMS(&params));
}

cf_value cf_area_density(cf_builder *b, cf_area_kind kind, unsigned order, cf_value a, cf_value y) {
    area_params params = {.kind = (int)kind, .order = order};
    return cf_elementwise_op(b, &density_op, 2, (cf_value[]){a, y}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

/* Beyond, exp(-a g - h) is less than rounding of the integral up to there: e^-45. */
#undef AREA_END
#define AREA_END 45

/* exp(t) - 1 - t: near 0 its power series. */
CF_INLINE vreal CF_FN(area_exp_excess)(vreal t) {
    vreal one = v_set1(1), sum = one;
    for (int k = 17; k >= 3; k--)
        sum = v_fma(sum, t * v_set1((real)(1.0 / k)), one);
    vreal near = v_set1((real)0.5) * t * t * sum;
    return v_select(v_lt(v_abs(t), one), near, v_expm1(t) - t);
}

/* g^order exp(-a g - h) */
CF_INLINE vreal CF_FN(area_density_at)(const area_params *p, vreal a, vreal t) {
    t = v_min(v_set1(64), v_max(v_set1(-800), t)); /* where it has long been 0 */
    if (p->kind == CF_AREA_GAMMA)
        t = v_min(v_set1(8), t);
    vreal g = t, power = v_set1(1), exponent, sine, cosine;
    if (p->kind == CF_AREA_CIRCLE) {
        v_sincos_2pi(t * v_set1((real)0.07957747154594767), &sine, &cosine);
        g = v_set1(2) * sine * sine;
    } else if (p->kind == CF_AREA_GAMMA) {
        g = CF_FN(area_exp_excess)(t);
    }
    exponent = a * g;
    if (p->kind == CF_AREA_NORMAL)
        exponent = v_fma(v_set1((real)0.5) * t, t, exponent);
    for (unsigned k = 0; k < p->order; k++)
        power = power * g;
    return power * v_exp(-exponent);
}

/* y, or where the integral ends before. Each is at or a little beyond where the exponent is
 * AREA_END. NaN stays NaN. */
CF_INLINE vreal CF_FN(area_end)(int kind, vreal a, vreal y) {
    vreal end, below = v_set1(-(real)INFINITY), c = v_set1(AREA_END) / a;
    if (kind == CF_AREA_NORMAL) {
        end = v_set1(2 * AREA_END) / (a + v_sqrt(v_fma(a, a, v_set1(2 * AREA_END))));
        below = v_set1(0);
    } else if (kind == CF_AREA_CIRCLE) {
        vreal square = v_min(c * v_set1((real)0.5), v_set1(1));
        vreal sine = v_sqrt(square);
        end = v_set1(2) * sine * v_fma(square, v_set1((real)0.5707963267948966), v_set1(1));
        below = -end;
    } else {
        vreal root = v_sqrt(c + c);
        end = v_log1p(c + root);
        below = -(c + root);
    }
    return v_min(end, v_max(below, y));
}

CF_INLINE vreal CF_FN(area_of)(const area_params *p, vreal a, vreal y) {
    vreal end = CF_FN(area_end)(p->kind, a, y), sum = v_set1(0);
    for (int i = 0; i < AREA_POINTS; i++) {
        vreal density = CF_FN(area_density_at)(p, a, end * v_set1((real)p->point[i]));
        sum = v_fma(density, v_set1((real)p->weight[i]), sum);
    }
    return end * sum;
}

CF_BINARY_WITH(area_params, area, CF_FN(area_of)(p, x, y))
CF_BINARY_WITH(area_params, area_density, CF_FN(area_density_at)(p, x, y))

#endif
