/* exp(x) - 1. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/expm1.c"
#include "simd/instantiate.h"

static void expm1_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    dx[0] = cf_multiply(b, dout, cf_scale(b, out, 1.0, 1.0));
}

static const cf_op expm1_op = {
    .name = "expm1",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(expm1_value),
    .gradient = expm1_rule,
};

cf_value cf_expm1(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &expm1_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(expm1_value, v_expm1(x))

#endif
