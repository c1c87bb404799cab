/* exp(x). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/exp.c"
#include "simd/instantiate.h"

static void exp_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                     const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    dx[0] = cf_multiply(b, dout, out);
}

static const cf_op exp_op = {
    .name = "exp",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(exp_value),
    .gradient = exp_rule,
};

cf_value cf_exp(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &exp_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(exp_value, v_exp(x))

#endif
