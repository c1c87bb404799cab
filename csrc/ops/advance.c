/* y + h (c_1 k_1 + c_2 k_2 + ...): operands y, the k one after the other, and h, one feature, which
 * is held. */
#ifndef CF_FN

#include "ops/feature_rows.h"
#include "ops/runge_kutta.h"

typedef struct {
    size_t slopes;
    double coefficient[CF_MAX_STAGES];
} advance_params;

#define CF_BODY "ops/advance.c"
#include "simd/instantiate.h"

static void advance_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    const advance_params *p = node->params;
    cf_value dk[CF_MAX_STAGES];
    (void)out;
    dx[0] = dout;
    if (!needed[1])
        return;
    cf_value along = cf_multiply(b, dout, node->operand[2]);
    for (size_t i = 0; i < p->slopes; i++)
        dk[i] = cf_scale_shift(b, along, p->coefficient[i], 0.0);
    dx[1] = cf_concat(b, dk, p->slopes);
}

static const cf_op advance_op = {
    .name = "advance",
    .params = sizeof(advance_params),
    .kernel = CF_VERSIONS(advance),
    .gradient = advance_rule,
};

cf_value cf_advance(cf_builder *b, cf_value y, cf_value h, size_t slopes, const cf_value *slope,
                    const double *coefficient) {
    cf_value used[CF_MAX_STAGES];
    advance_params params = {0};
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    for (size_t i = 0; i < slopes; i++)
        if (coefficient[i] != 0.0) {
            used[params.slopes] = slope[i];
            params.coefficient[params.slopes++] = coefficient[i];
        }
    cf_value operands[3] = {y, cf_concat(b, used, params.slopes), h};
    return cf_emit(b, &advance_op, CF_BATCHED, cf_value_size(b, y), 3, operands,
                   CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

static void CF_FN(advance)(const cf_call *call) {
    const advance_params *p = call->step->node->params;
    size_t lanes = call->lanes, n = call->step->operand[0].size;
    const real *h = cf_feature_row(call, 2, 0);
    real *out = call->out;
    for (size_t f = 0; f < n; f++)
        for (size_t lane = 0; lane < lanes; lane += VL) {
            vreal sum = v_set1(0);
            for (size_t i = 0; i < p->slopes; i++) {
                vreal slope = v_load(cf_feature_row(call, 1, i * n + f) + lane);
                sum = v_fma(v_set1((real)p->coefficient[i]), slope, sum);
            }
            vreal y = v_load(cf_feature_row(call, 0, f) + lane);
            v_store(out + f * lanes + lane, v_fma(v_load(h + lane), sum, y));
        }
}

#endif
