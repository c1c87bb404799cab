/* An unbatched value for every sample, and 0 in lanes beyond the last sample: the adjoint of the
 * sum over samples. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/broadcast_padded.c"
#include "simd/instantiate.h"

static void broadcast_padded_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                  const bool *needed, cf_value *dx) {
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = cf_sum_samples(b, dout);
}

static const cf_op broadcast_padded_op = {
    .name = "broadcast_padded",
    .flags = CF_OP_LANES_DIFFER,
    .kernel = CF_VERSIONS(broadcast_padded),
    .gradient = broadcast_padded_rule,
};

cf_value cf_broadcast_padded(cf_builder *b, cf_value unbatched) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    unbatched = cf_contiguous(b, unbatched);
    return cf_emit(b, &broadcast_padded_op, CF_BATCHED, cf_value_size(b, unbatched), 1, &unbatched,
                   CF_NO_PARAMS);
}

#else

static void CF_FN(broadcast_padded)(const cf_call *call) {
    const real *number = cf_operand_base(call, 0);
    real *out = call->out;
    for (size_t f = 0; f < call->step->out_size; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane++)
            out[lane] = lane < call->samples ? number[f] : 0;
}

#endif
