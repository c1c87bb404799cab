/* A value whose gradient is stated: operands the value, x, and the slope. The value is an estimate,
 * of whose formula the gradient is not, or need not be, a good one. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/stated_gradient.c"
#include "simd/instantiate.h"

static void stated_gradient_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                 const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[1] = cf_multiply(b, node->operand[2], dout);
}

static const cf_op stated_gradient_op = {
    .name = "stated_gradient",
    .kernel = CF_VERSIONS(stated_value),
    .gradient = stated_gradient_rule,
};

cf_value cf_stated_gradient(cf_builder *b, cf_value value, cf_value x, cf_value slope) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_value_size(b, value) != 1 || cf_value_size(b, slope) != cf_value_size(b, x))
        return cf_builder_fail(b, CF_INVALID, "%zu slopes of %zu values in %zu features",
                               cf_value_size(b, slope), cf_value_size(b, value),
                               cf_value_size(b, x));
    return cf_emit(b, &stated_gradient_op, CF_BATCHED, 1, 3, (cf_value[]){value, x, slope},
                   CF_NO_PARAMS);
}

#else

#include "ops/feature_rows.h"

static void CF_FN(stated_value)(const cf_call *call) {
    memcpy(call->out, cf_feature_row(call, 0, 0), call->lanes * sizeof(real));
}

#endif
