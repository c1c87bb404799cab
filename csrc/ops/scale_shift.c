/* factor x + term. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double factor, term;
} scale_shift_params;

#define CF_BODY "ops/scale_shift.c"
#include "simd/instantiate.h"

static void scale_shift_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    const scale_shift_params *p = node->params;
    (void)out;
    (void)needed;
    dx[0] = cf_scale_shift(b, dout, p->factor, 0.0);
}

static const cf_op scale_shift_op = {
    .name = "scale_shift",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(scale_shift_params),
    .elementwise = CF_VERSIONS(scale_shift),
    .gradient = scale_shift_rule,
};

cf_value cf_scale_shift(cf_builder *b, cf_value x, double factor, double term) {
    scale_shift_params params = {factor, term};
    return cf_elementwise_op(b, &scale_shift_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_UNARY_WITH(scale_shift_params, scale_shift, v_fma(CF_PARAM(factor), x, CF_PARAM(term)))

#endif
