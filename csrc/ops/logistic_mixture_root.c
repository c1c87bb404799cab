/* x of y = logit(F(x)), F the distribution function of a mixture of logistic distributions.
 *
 * The root lies between the minimum and the maximum of mean_k + scale_k y, where every component's
 * own F_k is below or above sigmoid(y). |d log(dy/dx) / dx| is at most 2 / (minimum scale), so that
 * a short step of Newton's method leaves an error of its square, and the first that makes this less
 * than rounding is the last one. What depends on unconstrained parameters alone, the parts, is
 * computed before the search. */
#ifndef CF_FN

#include "ops/logistic_mixture.h"
#include "ops/root.h"
#include "ops/feature_rows.h"

#define CF_BODY "ops/logistic_mixture_root.c"
#include "simd/instantiate.h"

/* Of params: the logits less the greatest, the means and 1 / scale. */
static const cf_op parts_op = {
    .name = "parts of a logistic mixture",
    .params = sizeof(cf_mixture_params),
    .kernel = CF_VERSIONS(logistic_mixture_parts),
};

/* Of y and parts: the bracket of x, where to start, and how long a last step may be. */
static const cf_op bracket_op = {
    .name = "bracket of a logistic mixture",
    .params = sizeof(cf_mixture_params),
    .kernel = CF_VERSIONS(logistic_mixture_bracket),
};

/* Of x, parts and what is not finished: y and dy/dx. */
static const cf_op value_op = {
    .name = "value of a logistic mixture",
    .params = sizeof(cf_mixture_params),
    .kernel = CF_VERSIONS(logistic_mixture_value),
};

typedef struct {
    cf_value parts;
    cf_mixture_params params;
} search;

static void evaluate(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    const search *s = context;
    size_t n = cf_value_size(b, x);
    cf_value out = cf_emit(b, &value_op, CF_BATCHED, 2 * n, 3,
                           (cf_value[]){x, s->parts, unfinished}, CF_PARAMS(&s->params));
    *value = cf_slice(b, out, 0, n);
    *slope = cf_slice(b, out, n, n);
}

cf_value cf_logistic_mixture_root(cf_builder *b, cf_value y, cf_value params,
                                  const cf_mixture_params *op_params) {
    size_t n = cf_value_size(b, y);
    search s = {.params = *op_params};
    s.parts = cf_emit(b, &parts_op, CF_BATCHED, cf_value_size(b, params), 2,
                      (cf_value[]){y, params}, CF_PARAMS(op_params));
    cf_value bracket = cf_emit(b, &bracket_op, CF_BATCHED, 4 * n, 2, (cf_value[]){y, s.parts},
                               CF_PARAMS(op_params));
    cf_root_spec spec = {.function = evaluate,
                         .context = &s,
                         .context_size = sizeof s,
                         .target = y,
                         .low = cf_slice(b, bracket, 0, n),
                         .high = cf_slice(b, bracket, n, n),
                         .start = cf_slice(b, bracket, 2 * n, n),
                         .short_step = cf_slice(b, bracket, 3 * n, n),
                         .detached = true};
    return cf_root(b, &spec, NULL);
}

#else

#include "ops/logistic_mixture_sums.h"

/* Feature f of the number `row` in the output. */
CF_INLINE real *CF_FN(mixture_out)(const mixture_call *s, size_t row, size_t f, size_t lane) {
    return (real *)s->call->out + (row * s->features + f) * s->call->lanes + lane;
}

static void CF_FN(logistic_mixture_parts)(const cf_call *call) {
    mixture_call s = CF_FN(mixture_open)(call);
    size_t count = (size_t)s.components;
    mixture_parts m;
    for (size_t lane = 0; lane < call->lanes; lane += VL)
        for (size_t f = 0; f < s.features; f++) {
            CF_FN(mixture_load)(&s, f, lane, &m);
            for (size_t k = 0; k < count; k++) {
                v_store(CF_FN(mixture_out)(&s, k, f, lane), m.logit[k]);
                v_store(CF_FN(mixture_out)(&s, count + k, f, lane), m.mean[k]);
                v_store(CF_FN(mixture_out)(&s, 2 * count + k, f, lane), m.rate[k]);
            }
        }
}

/* The parts, of operand 1. */
CF_INLINE void CF_FN(mixture_reload)(const mixture_call *s, size_t f, size_t lane,
                                     mixture_parts *m) {
    m->components = s->components;
    for (int k = 0; k < s->components; k++) {
        m->logit[k] = CF_FN(mixture_param)(s, f, k, lane);
        m->mean[k] = CF_FN(mixture_param)(s, f, s->components + k, lane);
        m->rate[k] = CF_FN(mixture_param)(s, f, 2 * s->components + k, lane);
    }
}

static void CF_FN(logistic_mixture_bracket)(const cf_call *call) {
    mixture_call s = CF_FN(mixture_open)(call);
    mixture_parts m;
    for (size_t lane = 0; lane < call->lanes; lane += VL)
        for (size_t f = 0; f < s.features; f++) {
            vreal y = v_load(cf_feature_row(call, 0, f) + lane), one = v_set1(1);
            CF_FN(mixture_reload)(&s, f, lane, &m);
            vreal weight = v_exp(m.logit[0]), sum = weight, min = one / m.rate[0];
            vreal low = v_fma(min, y, m.mean[0]), high = low, start = weight * low;
            for (int k = 1; k < m.components; k++) {
                vreal scale = one / m.rate[k], own = v_fma(scale, y, m.mean[k]);
                weight = v_exp(m.logit[k]);
                sum = sum + weight;
                start = v_fma(weight, own, start);
                low = v_min(low, own);
                high = v_max(high, own);
                min = v_min(min, scale);
            }
            v_store(CF_FN(mixture_out)(&s, 0, f, lane), low);
            v_store(CF_FN(mixture_out)(&s, 1, f, lane), high);
            v_store(CF_FN(mixture_out)(&s, 2, f, lane), v_min(high, v_max(low, start / sum)));
            v_store(CF_FN(mixture_out)(&s, 3, f, lane), min * v_set1(MIXTURE_SHORT_STEP));
        }
}

/* Where no lane of a vector is unfinished, nothing is computed and the former values stay. */
static void CF_FN(logistic_mixture_value)(const cf_call *call) {
    mixture_call s = CF_FN(mixture_open)(call);
    mixture_parts m;
    for (size_t lane = 0; lane < call->lanes; lane += VL)
        for (size_t f = 0; f < s.features; f++) {
            vreal unfinished = v_load(cf_feature_row(call, 2, f) + lane);
            if (!v_any(v_not(v_eq(unfinished, v_set1(0)))))
                continue;
            CF_FN(mixture_reload)(&s, f, lane, &m);
            mixture_point p =
                CF_FN(mixture_at)(&m, v_load(cf_feature_row(call, 0, f) + lane), NULL);
            v_store(CF_FN(mixture_out)(&s, 0, f, lane), CF_FN(mixture_logit)(&p));
            v_store(CF_FN(mixture_out)(&s, 1, f, lane), p.slope_below + p.slope_above);
        }
}

#endif
