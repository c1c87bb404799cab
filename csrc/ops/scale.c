/* factor x + term: number[0] and number[1]. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/scale.c"
#include "simd/instantiate.h"

static void scale_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_scale(b, dout, node->attributes.number[0], 0.0);
}

static const cf_op scale_op = {
    .name = "scale",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(scale),
    .gradient = scale_rule,
};

cf_value cf_scale(cf_builder *b, cf_value x, double factor, double term) {
    cf_attributes attributes = {.number = {factor, term}};
    return cf_elementwise_op(b, &scale_op, 1, (cf_value[]){x}, CF_PARAMS(&attributes));
}

#else

#include "ops/elementwise.h"

CF_UNARY(scale, v_fma(CF_NUMBER(0), x, CF_NUMBER(1)))

#endif
