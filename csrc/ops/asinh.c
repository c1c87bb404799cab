/* asinh(x). The slope is 1 / cosh(y) in the output y. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/asinh.c"
#include "simd/instantiate.h"

static void asinh_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    (void)node;
    (void)needed;
    cf_value grows = cf_exp(b, out), falls = cf_exp(b, cf_scale(b, out, -1.0, 0.0));
    dx[0] = cf_divide(b, cf_scale(b, dout, 2.0, 0.0), cf_add(b, grows, falls));
}

static const cf_op asinh_op = {
    .name = "asinh",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(asinh_value),
    .gradient = asinh_rule,
};

cf_value cf_asinh(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &asinh_op, x);
}

#else

#include "ops/elementwise.h"

/* log(a + sqrt(a^2 + 1)) for a = |x| as log1p(a + (sqrt(a^2 + 1) - 1)), the difference without
 * cancellation and without squares that overflow. */
CF_INLINE vreal CF_FN(asinh_of)(vreal x) {
    vreal a = v_abs(x), r = v_set1(1) / a;
    vreal excess = a / (r + v_sqrt(v_fma(r, r, v_set1(1))));
    return v_with_sign(v_log1p(a + excess), x);
}

CF_UNARY(asinh_value, CF_FN(asinh_of)(x))

#endif
