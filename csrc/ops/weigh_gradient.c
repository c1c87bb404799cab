/* x itself, whose cotangent is multiplied by a number of the float64 buffers, at integer[0]. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/weigh_gradient.c"
#include "simd/instantiate.h"

static void weighed_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx);

static const cf_op weighed_op = {
    .name = "weigh_gradient gradient",
    .kernel = CF_VERSIONS(weighed),
    .gradient = weighed_rule,
};

static cf_value weighed(cf_builder *b, const cf_node *node, cf_value dout) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    return cf_emit(b, &weighed_op, CF_ROW, cf_value_size(b, dout), 1, &dout, &node->attributes);
}

static void weighed_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = weighed(b, node, dout);
}

static const cf_op weigh_gradient_op = {
    .name = "weigh_gradient",
    .kernel = CF_VERSIONS(unweighed),
    .gradient = weighed_rule,
};

cf_value cf_weigh_gradient(cf_builder *b, cf_value x, size_t offset) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_attributes attributes = {.integer = {(int64_t)offset}};
    x = cf_broadcast(b, x);
    return cf_emit(b, &weigh_gradient_op, CF_ROW, cf_value_size(b, x), 1, &x, &attributes);
}

#else

#include "ops/rows.h"

static void CF_FN(weighed)(const cf_call *call) {
    const cf_node *node = call->step->node;
    vreal weight = v_set1((real)call->run->buffers[node->attributes.integer[0]]);
    real *out = call->out;
    for (size_t f = 0; f < node->size; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL)
            v_store(out + lane, weight * v_load(cf_row(call, 0, f) + lane));
}

static void CF_FN(unweighed)(const cf_call *call) {
    real *out = call->out;
    for (size_t f = 0; f < call->step->out_size; f++, out += call->lanes)
        for (size_t lane = 0; lane < call->lanes; lane += VL)
            v_store(out + lane, v_load(cf_row(call, 0, f) + lane));
}

#endif
