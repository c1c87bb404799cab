/* x + v of an integer x and noise v on [0, 1], kept so far from both ends of [x, x + 1] that x is
 * still found below once the sum has been rounded, divided and multiplied: four units in the last
 * place of |x| + 1. The gradient passes. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/add_noise.c"
#include "simd/instantiate.h"

static void add_noise_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx) {
    (void)b;
    (void)node;
    (void)out;
    for (size_t i = 0; i < 2; i++)
        if (needed[i])
            dx[i] = dout;
}

static const cf_op add_noise_op = {
    .name = "add_noise",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(add_noise),
    .gradient = add_noise_rule,
};

cf_value cf_add_noise(cf_builder *b, cf_value x, cf_value noise) {
    return cf_binary_op(b, &add_noise_op, x, noise);
}

#else

#include "ops/elementwise.h"

#undef NOISE_MARGIN
#ifdef CF_REAL_F32
#define NOISE_MARGIN v_set1(0x1p-21f)
#else
#define NOISE_MARGIN v_set1(0x1p-50)
#endif

CF_INLINE vreal CF_FN(sum)(vreal x, vreal noise) {
    vreal margin = (v_abs(x) + v_set1((real)1)) * NOISE_MARGIN;
    return x + v_min(v_set1((real)1) - margin, v_max(margin, noise));
}

CF_BINARY(add_noise, CF_FN(sum)(x, y))

#endif
