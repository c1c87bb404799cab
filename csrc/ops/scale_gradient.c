/* x itself, whose cotangent is multiplied by a weight: the last operand, which stands there for the
 * gradient alone and has none. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/scale_gradient.c"
#include "simd/instantiate.h"

static void scale_gradient_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                const bool *needed, cf_value *dx) {
    (void)out;
    if (needed[0])
        dx[0] = cf_multiply(b, dout, node->operand[1]);
}

static const cf_op scale_gradient_op = {
    .name = "scale_gradient",
    .flags = CF_OP_LAST_UNREAD,
    .kernel = CF_VERSIONS(copy_features),
    .gradient = scale_gradient_rule,
};

cf_value cf_scale_gradient(cf_builder *b, cf_value x, cf_value weight) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value operands[2] = {cf_broadcast(b, x), weight};
    return cf_emit(b, &scale_gradient_op, CF_BATCHED, cf_value_size(b, x), 2, operands,
                   CF_NO_PARAMS);
}

#else

#include "ops/feature_rows.h"

static void CF_FN(copy_features)(const cf_call *call) {
    real *out = call->out;
    for (size_t f = 0; f < call->step->out_size; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL)
            v_store(out + lane, v_load(cf_feature_row(call, 0, f) + lane));
}

#endif
