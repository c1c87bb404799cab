/* A shared value in every row, and 0 in lanes beyond the last row: the adjoint of the sum over
 * rows. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/spread_rows.c"
#include "simd/instantiate.h"

static void spread_rows_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = cf_sum_rows(b, dout);
}

static const cf_op spread_rows_op = {
    .name = "spread_rows",
    .flags = CF_OP_LANES_DIFFER,
    .kernel = CF_VERSIONS(spread_rows),
    .gradient = spread_rows_rule,
};

cf_value cf_spread_rows(cf_builder *b, cf_value shared) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    shared = cf_contiguous(b, shared);
    return cf_emit(b, &spread_rows_op, CF_ROW, cf_value_size(b, shared), 1, &shared, CF_NO_PARAMS);
}

#else

static void CF_FN(spread_rows)(const cf_call *call) {
    const real *number = cf_operand_base(call, 0);
    real *out = call->out;
    for (size_t f = 0; f < call->step->out_size; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane++)
            out[lane] = lane < call->rows ? number[f] : 0;
}

#endif
