/* A shared value in every row: the same in every tile. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/broadcast.c"
#include "simd/instantiate.h"

static void broadcast_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx) {
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = cf_sum_rows(b, dout);
}

static const cf_op broadcast_op = {
    .name = "broadcast",
    .flags = CF_OP_INVARIANT,
    .kernel = CF_VERSIONS(broadcast),
    .gradient = broadcast_rule,
};

cf_value cf_broadcast(cf_builder *b, cf_value shared) {
    if (cf_builder_status(b) != CF_OK || cf_value_kind(b, shared) == CF_ROW)
        return shared;
    shared = cf_contiguous(b, shared);
    return cf_emit(b, &broadcast_op, CF_ROW, cf_value_size(b, shared), 1, &shared, CF_NO_PARAMS);
}

#else

static void CF_FN(broadcast)(const cf_call *call) {
    const real *number = cf_operand_base(call, 0);
    real *out = call->out;
    for (size_t f = 0; f < call->step->out_size; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL)
            v_store(out + lane, v_set1(number[f]));
}

#endif
