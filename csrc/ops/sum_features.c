/* The sum over features, in ascending order. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/sum_features.c"
#include "simd/instantiate.h"

static void sum_features_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                              const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_repeat(b, dout, node->operand_size[0]);
}

static const cf_op sum_features_op = {
    .name = "sum_features",
    .kernel = CF_VERSIONS(sum_features),
    .gradient = sum_features_rule,
};

cf_value cf_sum_features(cf_builder *b, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    x = cf_contiguous(b, x);
    return cf_emit(b, &sum_features_op, cf_value_kind(b, x), 1, 1, &x, NULL);
}

#else

#include "ops/rows.h"

static void CF_FN(sum_features)(const cf_call *call) {
    size_t features = call->step->operand[0].size;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < features; f++)
            sum = sum + cf_load_lanes(cf_row(call, 0, f), lane, call->lanes);
        cf_store_lanes(call->out, sum, lane, call->lanes);
    }
}

#endif
