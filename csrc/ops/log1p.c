/* log(1 + x). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/log1p.c"
#include "simd/instantiate.h"

static void log1p_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_divide(b, dout, cf_scale(b, node->operand[0], 1.0, 1.0));
}

static const cf_op log1p_op = {
    .name = "log1p",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(log1p_value),
    .gradient = log1p_rule,
};

cf_value cf_log1p(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &log1p_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(log1p_value, v_log1p(x))

#endif
