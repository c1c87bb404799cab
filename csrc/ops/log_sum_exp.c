/* log(sum of exp(x)) over features, without overflow. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/log_sum_exp.c"
#include "simd/instantiate.h"

static void log_sum_exp_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    (void)needed;
    cf_value share = cf_exp(b, cf_subtract(b, node->operand[0], out));
    dx[0] = cf_multiply(b, share, dout);
}

static const cf_op log_sum_exp_op = {
    .name = "log_sum_exp",
    .kernel = CF_VERSIONS(log_sum_exp),
    .gradient = log_sum_exp_rule,
};

cf_value cf_log_sum_exp(cf_builder *b, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    x = cf_contiguous(b, x);
    return cf_emit(b, &log_sum_exp_op, cf_value_kind(b, x), 1, 1, &x, NULL);
}

#else

#include "ops/rows.h"
#include "simd/math.h"

static void CF_FN(log_sum_exp)(const cf_call *call) {
    size_t features = call->step->operand[0].size;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal most = v_set1((real)-INFINITY), sum = v_set1(0);
        for (size_t f = 0; f < features; f++)
            most = v_max(most, cf_load_lanes(cf_row(call, 0, f), lane, call->lanes));
        /* All -inf: their sum is 0, not NaN. */
        most = v_max(most, v_set1(sizeof(real) == 4 ? (real)-3e38f : (real)-1e308));
        for (size_t f = 0; f < features; f++)
            sum = sum + v_exp(cf_load_lanes(cf_row(call, 0, f), lane, call->lanes) - most);
        cf_store_lanes(call->out, most + v_log(sum), lane, call->lanes);
    }
}

#endif
