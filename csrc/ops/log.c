/* log(x). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/log.c"
#include "simd/instantiate.h"

static void log_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                     const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_divide(b, dout, node->operand[0]);
}

static const cf_op log_op = {
    .name = "log",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(log_value),
    .gradient = log_rule,
};

cf_value cf_log(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &log_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(log_value, v_log(x))

#endif
