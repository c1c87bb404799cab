/* log(sum of exp(x)) over groups of neighbouring features, without overflow: as many as the result
 * has features. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/log_sum_exp.c"
#include "simd/instantiate.h"

static void log_sum_exp_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    (void)needed;
    size_t each = node->size > 0 ? node->operand_size[0] / node->size : 0;
    cf_value share = cf_exp(b, cf_subtract(b, node->operand[0], cf_repeat_each(b, out, each)));
    dx[0] = cf_multiply(b, share, cf_repeat_each(b, dout, each));
}

static const cf_op log_sum_exp_op = {
    .name = "log_sum_exp",
    .kernel = CF_VERSIONS(log_sum_exp),
    .gradient = log_sum_exp_rule,
};

cf_value cf_log_sum_exp_groups(cf_builder *b, cf_value x, size_t groups) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (groups == 0 || cf_value_size(b, x) % groups != 0)
        return cf_builder_fail(b, CF_INVALID, "%zu features do not make %zu groups",
                               cf_value_size(b, x), groups);
    x = cf_contiguous(b, x);
    return cf_emit(b, &log_sum_exp_op, cf_value_kind(b, x), groups, 1, &x, CF_NO_PARAMS);
}

cf_value cf_log_sum_exp(cf_builder *b, cf_value x) {
    return cf_log_sum_exp_groups(b, x, 1);
}

#else

#include "ops/feature_rows.h"
#include "simd/math.h"

/* Of features [first, first + count), at `lane`. */
CF_INLINE vreal CF_FN(log_sum_exp_of)(const cf_call *call, size_t first, size_t count,
                                      size_t lane) {
    vreal max = v_set1((real)-INFINITY), sum = v_set1(0);
    for (size_t f = first; f < first + count; f++)
        max = v_max(max, cf_load_lanes(cf_feature_row(call, 0, f), lane, call->lanes));
    /* All -inf: their sum is 0, not NaN. */
    max = v_max(max, v_set1(sizeof(real) == 4 ? (real)-3e38f : (real)-1e308));
    for (size_t f = first; f < first + count; f++)
        sum = sum + v_exp(cf_load_lanes(cf_feature_row(call, 0, f), lane, call->lanes) - max);
    return max + v_log(sum);
}

static void CF_FN(log_sum_exp)(const cf_call *call) {
    size_t groups = call->step->out_size, each = call->step->operand[0].size / groups;
    real *out = call->out;
    for (size_t first = 0; groups > 0; groups--, first += each, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL)
            cf_store_lanes(out, CF_FN(log_sum_exp_of)(call, first, each, lane), lane, call->lanes);
}

#endif
