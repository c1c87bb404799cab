/* Categorical numbers: features x from 0 to K - 1, and K unconstrained parameters each, all of
 * level 0 first, whose softmax are the probabilities of the levels.
 *
 *   log_prob  operands params, x; log p_x of each feature, -inf where x is no level
 *   gradient  operands params, x, dout; dout times [k = x] - p_k, the cotangent of params
 *   draw      operands params, u uniform on [0, 1): the level in whose interval of the running sum
 *             of p u falls
 *   mean      operand params: the sum of k p_k */
#ifndef CF_FN

#include "ops/formula.h"
#include "ops/feature_rows.h"

typedef struct {
    size_t levels; /* K */
} categorical_params;

#define CF_BODY "ops/categorical.c"
#include "simd/instantiate.h"

/* 1 where x is `level`, else 0. */
static cf_value is_level(cf_builder *b, cf_value x, size_t level) {
    cf_value under = cf_scale_shift(b, x, -1.0, 0.0);
    return cf_multiply(b, cf_greater_equal(b, x, (double)level),
                       cf_greater_equal(b, under, -(double)level));
}

static cf_value gradient_formula(cf_builder *b, const cf_node *node, const cf_value *operand) {
    const categorical_params *p = node->params;
    size_t levels = p->levels, features = node->operand_size[1];
    cf_value slopes = CF_NO_VALUE, params = operand[0];
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value total = cf_log_sum_exp_groups(b, cf_transpose(b, params, levels), features);
    for (size_t k = 0; k < levels; k++) {
        cf_value chance =
            cf_exp(b, cf_subtract(b, cf_slice(b, params, k * features, features), total));
        cf_value slope = cf_subtract(b, is_level(b, operand[1], k), chance);
        slopes = cf_concat(b, (cf_value[]){slopes, slope}, 2);
    }
    return cf_multiply(b, slopes, cf_repeat_whole(b, operand[2], levels));
}

static void gradient_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)out;
    cf_formula_rule(b, node, gradient_formula, dout, needed, dx);
}

static const cf_op gradient_op = {
    .name = "categorical_log_prob gradient",
    .params = sizeof(categorical_params),
    .kernel = CF_VERSIONS(categorical_gradient),
    .gradient = gradient_rule,
};

static cf_value emit(cf_builder *b, const cf_op *op, size_t operands, const cf_value *operand,
                     size_t levels, size_t size) {
    categorical_params params = {levels};
    cf_value batched[3];
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    for (size_t i = 0; i < operands; i++)
        batched[i] = cf_broadcast(b, operand[i]);
    return cf_emit(b, op, CF_BATCHED, size, operands, batched, CF_PARAMS(&params));
}

static void log_prob_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    const categorical_params *p = node->params;
    (void)out; /* x is an integer: its cotangent stays CF_NO_VALUE, zero */
    if (needed[0])
        dx[0] = emit(b, &gradient_op, 3, (cf_value[]){node->operand[0], node->operand[1], dout},
                     p->levels, node->operand_size[0]);
}

static const cf_op log_prob_op = {
    .name = "categorical_log_prob",
    .params = sizeof(categorical_params),
    .kernel = CF_VERSIONS(categorical_log_prob),
    .gradient = log_prob_rule,
};

static const cf_op draw_op = {
    .name = "categorical_draw",
    .params = sizeof(categorical_params),
    .kernel = CF_VERSIONS(categorical_draw),
    .gradient = cf_zero_gradient,
};

static const cf_op mean_op = {
    .name = "categorical_mean",
    .params = sizeof(categorical_params),
    .kernel = CF_VERSIONS(categorical_mean),
    .gradient = cf_zero_gradient,
};

cf_value cf_categorical_log_prob(cf_builder *b, cf_value params, cf_value x, size_t levels) {
    return emit(b, &log_prob_op, 2, (cf_value[]){params, x}, levels, cf_value_size(b, x));
}

cf_value cf_categorical_draw(cf_builder *b, cf_value params, cf_value u, size_t levels) {
    return emit(b, &draw_op, 2, (cf_value[]){params, u}, levels, cf_value_size(b, u));
}

cf_value cf_categorical_mean(cf_builder *b, cf_value params, size_t levels) {
    return emit(b, &mean_op, 1, &params, levels, cf_value_size(b, params) / levels);
}

#else

#include "ops/feature_rows.h"
#include "simd/math.h"

/* The unconstrained parameters of one feature, at some lanes. */
typedef struct {
    const cf_call *call;
    size_t feature, features, levels, lane;
    vreal max, sum; /* of exp(params - max) */
} CF_FN(softmax);
#undef SOFTMAX
#define SOFTMAX CF_FN(softmax)

static inline vreal CF_FN(param_at)(const SOFTMAX *s, size_t level) {
    return v_load(cf_feature_row(s->call, 0, level * s->features + s->feature) + s->lane);
}

static inline vreal CF_FN(weight_at)(const SOFTMAX *s, size_t level) {
    return v_exp(CF_FN(param_at)(s, level) - s->max);
}

static inline SOFTMAX CF_FN(softmax_of)(const cf_call *call, size_t feature, size_t features,
                                        size_t lane) {
    const categorical_params *p = call->step->node->params;
    SOFTMAX s = {call, feature, features, p->levels, lane, v_set1((real)-INFINITY), v_set1(0)};
    for (size_t k = 0; k < s.levels; k++)
        s.max = v_max(s.max, CF_FN(param_at)(&s, k));
    for (size_t k = 0; k < s.levels; k++)
        s.sum = s.sum + CF_FN(weight_at)(&s, k);
    return s;
}

static void CF_FN(categorical_log_prob)(const cf_call *call) {
    size_t features = call->step->out_size;
    real *out = call->out;
    for (size_t f = 0; f < features; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL) {
            SOFTMAX s = CF_FN(softmax_of)(call, f, features, lane);
            vreal x = v_load(cf_feature_row(call, 1, f) + lane), chosen = v_set1((real)-INFINITY);
            for (size_t k = 0; k < s.levels; k++)
                chosen = v_select(v_eq(x, v_set1((real)k)), CF_FN(param_at)(&s, k), chosen);
            v_store(out + lane, v_select(v_eq(x, x), chosen - s.max - v_log(s.sum), x));
        }
}

static void CF_FN(categorical_gradient)(const cf_call *call) {
    size_t features = call->step->operand[1].size;
    real *out = call->out;
    for (size_t f = 0; f < features; f++)
        for (size_t lane = 0; lane < call->lanes; lane += VL) {
            SOFTMAX s = CF_FN(softmax_of)(call, f, features, lane);
            vreal x = v_load(cf_feature_row(call, 1, f) + lane),
                  dy = v_load(cf_feature_row(call, 2, f) + lane);
            for (size_t k = 0; k < s.levels; k++) {
                vreal hit = v_select(v_eq(x, v_set1((real)k)), v_set1(1), v_set1(0));
                vreal slope = hit - CF_FN(weight_at)(&s, k) / s.sum;
                v_store(out + (k * features + f) * call->lanes + lane, dy * slope);
            }
        }
}

/* The number of levels whose interval ends at or below u; the last level gets what rounding
 * leaves. */
static void CF_FN(categorical_draw)(const cf_call *call) {
    size_t features = call->step->out_size;
    real *out = call->out;
    for (size_t f = 0; f < features; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL) {
            SOFTMAX s = CF_FN(softmax_of)(call, f, features, lane);
            vreal end = v_set1(0), level = v_set1(0);
            vreal u = v_load(cf_feature_row(call, 1, f) + lane) * s.sum;
            for (size_t k = 0; k + 1 < s.levels; k++) {
                end = end + CF_FN(weight_at)(&s, k);
                level = level + v_select(v_le(end, u), v_set1(1), v_set1(0));
            }
            v_store(out + lane, level);
        }
}

static void CF_FN(categorical_mean)(const cf_call *call) {
    size_t features = call->step->out_size;
    real *out = call->out;
    for (size_t f = 0; f < features; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL) {
            SOFTMAX s = CF_FN(softmax_of)(call, f, features, lane);
            vreal sum = v_set1(0);
            for (size_t k = 1; k < s.levels; k++)
                sum = v_fma(v_set1((real)k), CF_FN(weight_at)(&s, k), sum);
            v_store(out + lane, sum / s.sum);
        }
}

#endif
