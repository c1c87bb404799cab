/* x scale, of a scale that may be infinite: an infinite scale of 0 is 0. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/apply_scale.c"
#include "simd/instantiate.h"

static void apply_scale_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    (void)out;
    if (needed[0])
        dx[0] = cf_apply_scale(b, dout, node->operand[1]);
    if (needed[1])
        dx[1] = cf_multiply(b, dout, node->operand[0]);
}

static const cf_op apply_scale_op = {
    .name = "apply_scale",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(apply_scale),
    .gradient = apply_scale_rule,
};

cf_value cf_apply_scale(cf_builder *b, cf_value x, cf_value scale) {
    return cf_binary_op(b, &apply_scale_op, x, scale);
}

#else

#include "ops/elementwise.h"

/* Of x and y, the scale. */
CF_BINARY(apply_scale, v_select(v_and(v_eq(x, v_set1(0)), v_eq(y, v_set1(INFINITY))), x, x *y))

#endif
