/* The log-density of a standard normal: -(sum of u^2) / 2 - features log(2 pi) / 2. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/normal_log_density.c"
#include "simd/instantiate.h"

static void normal_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_multiply(b, node->operand[0], cf_scale_shift(b, dout, -1.0, 0.0));
}

static const cf_op normal_op = {
    .name = "normal_log_density",
    .kernel = CF_VERSIONS(normal_log_density),
    .gradient = normal_rule,
};

cf_value cf_normal_log_density(cf_builder *b, cf_value u) {
    return cf_emit(b, &normal_op, CF_BATCHED, 1, 1, &u, CF_NO_PARAMS);
}

#else

#include "ops/feature_rows.h"

static void CF_FN(normal_log_density)(const cf_call *call) {
    size_t features = call->step->operand[0].size;
    vreal constant = v_set1((real)(-0.9189385332046727 * (double)features)); /* log(2 pi) / 2 */
    real *out = call->out;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < features; f++) {
            vreal u = v_load(cf_feature_row(call, 0, f) + lane);
            sum = v_fma(u, u, sum);
        }
        v_store(out + lane, v_fma(v_set1((real)-0.5), sum, constant));
    }
}

#endif
