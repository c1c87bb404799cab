/* factor x + term. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double factor, term;
} scale_params;

#define CF_BODY "ops/scale.c"
#include "simd/instantiate.h"

static void scale_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    const scale_params *p = node->params;
    (void)out;
    (void)needed;
    dx[0] = cf_scale(b, dout, p->factor, 0.0);
}

static const cf_op scale_op = {
    .name = "scale",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(scale_params),
    .elementwise = CF_VERSIONS(scale),
    .gradient = scale_rule,
};

cf_value cf_scale(cf_builder *b, cf_value x, double factor, double term) {
    scale_params params = {factor, term};
    return cf_elementwise_op(b, &scale_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_UNARY_WITH(scale_params, scale, v_fma(CF_PARAM(factor), x, CF_PARAM(term)))

#endif
