/* y = logit(F(x)), F the distribution function of a mixture of K logistic distributions, with its
 * log-determinant (Ho et al. 2019, Flow++, arXiv:1902.00275, equation 17): operands x [F] and
 * params [3 K F], the output is y [F] and the log_det. */
#ifndef CF_FN

#include <math.h>

#include "ops/logistic_mixture.h"
#include "ops/feature_rows.h"

#define CF_BODY "ops/logistic_mixture.c"
#include "simd/instantiate.h"

static const cf_op logistic_mixture_gradient_op = {
    .name = "logistic mixture gradient",
    .params = sizeof(cf_mixture_params),
    .kernel = CF_VERSIONS(logistic_mixture_gradient),
    .gradient = cf_logistic_mixture_gradient_rule,
};

/* Both directions have their gradient at x: that of the inverse is by the implicit function
 * theorem, dx = -(the change of y) / (dy/dx), together with that of the log_det. */
static void emit_gradient(cf_builder *b, const cf_node *node, cf_value x, cf_value dout,
                          cf_value *dx, cf_value *draw) {
    size_t features = node->operand_size[0], params = node->operand_size[1];
    cf_value operands[3] = {x, node->operand[1], dout};
    cf_value both = cf_emit(b, &logistic_mixture_gradient_op, CF_BATCHED, features + params, 3,
                            operands, cf_params_of(node));
    *dx = cf_slice(b, both, 0, features);
    *draw = cf_slice(b, both, features, params);
}

static void logistic_mixture_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                  const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    emit_gradient(b, node, node->operand[0], dout, &dx[0], &dx[1]);
}

static const cf_op logistic_mixture_op = {
    .name = "logistic mixture",
    .params = sizeof(cf_mixture_params),
    .kernel = CF_VERSIONS(logistic_mixture),
    .gradient = logistic_mixture_rule,
};

/* Operands x, params and y. */
static void inverse_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    (void)needed;
    cf_value x = cf_slice(b, out, 0, node->operand_size[0]);
    emit_gradient(b, node, x, dout, &dx[2], &dx[1]);
}

/* x itself, found before, and the log_det there. */
static const cf_op inverse_op = {
    .name = "inverse logistic mixture",
    .flags = CF_OP_LAST_UNREAD,
    .params = sizeof(cf_mixture_params),
    .kernel = CF_VERSIONS(logistic_mixture),
    .gradient = inverse_rule,
};

cf_value cf_logistic_mixture_map(cf_builder *b, const cf_logistic_mixture *mixture, cf_value x,
                                 cf_value params, bool inverse, cf_value *log_det) {
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_value_size(b, x), numbers = 3 * (size_t)mixture->components;
    if (cf_value_size(b, params) != features * numbers)
        return cf_builder_fail(
            b, CF_INVALID,
            "logistic mixture: %zu features with %zu unconstrained parameters, not %zu", features,
            cf_value_size(b, params), features * numbers);
    cf_mixture_params op_params = {inverse, mixture->components, mixture->spread,
                                   -1.0 / log(mixture->min_scale)};
    cf_value operands[3] = {x, cf_broadcast(b, params), x};
    if (inverse)
        operands[0] = cf_logistic_mixture_root(b, x, operands[1], &op_params);
    cf_value out = cf_emit(b, inverse ? &inverse_op : &logistic_mixture_op, CF_BATCHED,
                           features + 1, inverse ? 3 : 2, operands, CF_PARAMS(&op_params));
    *log_det = cf_slice(b, out, features, 1);
    return cf_slice(b, out, 0, features);
}

#else

#include "ops/logistic_mixture_sums.h"

/* Where the cotangent of that parameter is stored. */
CF_INLINE void CF_FN(mixture_draw)(const mixture_call *s, size_t f, int p, size_t lane, vreal d) {
    size_t row = s->features + (size_t)p * s->features + f;
    v_store((real *)s->call->out + row * s->call->lanes + lane, d);
}

static void CF_FN(logistic_mixture)(const cf_call *call) {
    mixture_call s = CF_FN(mixture_open)(call);
    real *out = call->out, *log_det = out + s.features * call->lanes;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < s.features; f++) {
            vreal x = v_load(cf_feature_row(call, 0, f) + lane);
            mixture_parts m;
            CF_FN(mixture_load)(&s, f, lane, &m);
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
    mixture_share each[CF_MAX_COMPONENTS];
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
        vreal params = CF_FN(mixture_param)(s, f, 2 * m->components + k, lane);
        vreal clip = v_fma(v_abs(params), v_set1(s->clip), one);
        CF_FN(mixture_draw)(s, f, k, lane, v_fma(dy, below - above, dlog * (density - shared)));
        CF_FN(mixture_draw)(s, f, m->components + k, lane, dmean);
        CF_FN(mixture_draw)(s, f, 2 * m->components + k, lane, dlog_scale / (clip * clip));
    }
    return dx;
}

static void CF_FN(logistic_mixture_gradient)(const cf_call *call) {
    mixture_call s = CF_FN(mixture_open)(call);
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal dlog = v_load(cf_feature_row(call, 2, s.features) + lane);
        for (size_t f = 0; f < s.features; f++) {
            vreal x = v_load(cf_feature_row(call, 0, f) + lane);
            vreal dout = v_load(cf_feature_row(call, 2, f) + lane);
            mixture_parts m;
            CF_FN(mixture_load)(&s, f, lane, &m);
            v_store((real *)call->out + f * call->lanes + lane,
                    CF_FN(mixture_pull)(&s, &m, f, lane, x, dout, dlog));
        }
    }
}

#endif
