/* The sums of groups of neighbouring features, each in ascending order: as many as the result has
 * features. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/sum_groups.c"
#include "simd/instantiate.h"

static void sum_groups_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_repeat_each(b, dout, node->size > 0 ? node->operand_size[0] / node->size : 0);
}

static const cf_op sum_groups_op = {
    .name = "sum_groups",
    .kernel = CF_VERSIONS(sum_groups),
    .gradient = sum_groups_rule,
};

cf_value cf_sum_groups(cf_builder *b, cf_value x, size_t groups) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (groups == 0 || cf_value_size(b, x) % groups != 0)
        return cf_builder_fail(b, CF_INVALID, "%zu features do not make %zu groups",
                               cf_value_size(b, x), groups);
    x = cf_contiguous(b, x);
    return cf_emit(b, &sum_groups_op, cf_value_kind(b, x), groups, 1, &x, CF_NO_PARAMS);
}

cf_value cf_sum_features(cf_builder *b, cf_value x) {
    return cf_sum_groups(b, x, 1);
}

#else

#include "ops/feature_rows.h"

static void CF_FN(sum_groups)(const cf_call *call) {
    size_t groups = call->step->out_size, each = call->step->operand[0].size / groups;
    real *out = call->out;
    for (size_t first = 0; groups > 0; groups--, first += each, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL) {
            vreal sum = v_set1(0);
            for (size_t f = first; f < first + each; f++)
                sum = sum + cf_load_lanes(cf_feature_row(call, 0, f), lane, call->lanes);
            cf_store_lanes(out, sum, lane, call->lanes);
        }
}

#endif
