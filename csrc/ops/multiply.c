/* x y. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/multiply.c"
#include "simd/instantiate.h"

static void multiply_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)out;
    for (size_t i = 0; i < 2; i++)
        if (needed[i])
            dx[i] = cf_multiply(b, dout, node->operand[1 - i]);
}

static const cf_op multiply_op = {
    .name = "multiply",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(multiply),
    .gradient = multiply_rule,
};

cf_value cf_multiply(cf_builder *b, cf_value x, cf_value y) {
    return cf_binary_op(b, &multiply_op, x, y);
}

#else

#include "ops/elementwise.h"

CF_BINARY(multiply, x *y)

#endif
