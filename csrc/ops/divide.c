/* x / y. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/divide.c"
#include "simd/instantiate.h"

static void divide_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    cf_value share = cf_divide(b, dout, node->operand[1]);
    dx[0] = share;
    if (needed[1])
        dx[1] = cf_scale_shift(b, cf_multiply(b, share, out), -1.0, 0.0);
}

static const cf_op divide_op = {
    .name = "divide",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(divide),
    .gradient = divide_rule,
};

cf_value cf_divide(cf_builder *b, cf_value x, cf_value y) {
    return cf_binary_op(b, &divide_op, x, y);
}

#else

#include "ops/elementwise.h"

CF_BINARY(divide, x / y)

#endif
