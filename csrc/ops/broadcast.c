/* An unbatched value for every sample: the same in every tile. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/broadcast.c"
#include "simd/instantiate.h"

static void broadcast_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx) {
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = cf_sum_samples(b, dout);
}

static const cf_op broadcast_op = {
    .name = "broadcast",
    .flags = CF_OP_INVARIANT,
    .kernel = CF_VERSIONS(broadcast),
    .gradient = broadcast_rule,
};

cf_value cf_broadcast(cf_builder *b, cf_value unbatched) {
    if (cf_builder_status(b) != CF_OK || cf_value_kind(b, unbatched) == CF_BATCHED)
        return unbatched;
    unbatched = cf_contiguous(b, unbatched);
    return cf_emit(b, &broadcast_op, CF_BATCHED, cf_value_size(b, unbatched), 1, &unbatched,
                   CF_NO_PARAMS);
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
