/* x - y. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/subtract.c"
#include "simd/instantiate.h"

static void subtract_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)node;
    (void)out;
    dx[0] = dout;
    if (needed[1])
        dx[1] = cf_scale_shift(b, dout, -1.0, 0.0);
}

static const cf_op subtract_op = {
    .name = "subtract",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(subtract),
    .gradient = subtract_rule,
};

cf_value cf_subtract(cf_builder *b, cf_value x, cf_value y) {
    return cf_binary_op(b, &subtract_op, x, y);
}

#else

#include "ops/elementwise.h"

CF_BINARY(subtract, x - y)

#endif
