/* x log(x / y) - x + y for positive x and y: what a gamma or beta density loses away from its mean
 * (Loader 2000, Fast and accurate computation of binomial probabilities). */
#ifndef CF_FN

#include "ops/elementwise.h"
#include "ops/special.h"

#define CF_BODY "ops/kl_div.c"
#include "simd/instantiate.h"

/* log(x / y) and (y - x) / y. */
static void kl_div_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    cf_value x = node->operand[0], y = node->operand[1];
    (void)out;
    if (needed[0])
        dx[0] = cf_multiply(b, dout, cf_log(b, cf_divide(b, x, y)));
    if (needed[1])
        dx[1] = cf_multiply(b, dout, cf_divide(b, cf_subtract(b, y, x), y));
}

static const cf_op kl_div_op = {
    .name = "kl_div",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(kl_div),
    .gradient = kl_div_rule,
};

cf_value cf_kl_div(cf_builder *b, cf_value x, cf_value y) {
    return cf_binary_op(b, &kl_div_op, x, y);
}

#else

#include "ops/elementwise.h"

/* With t = y / x - 1 and s = t / (t + 2), log(y / x) = 2 artanh(s) and t - 2 s = t s: near 0, x
 * times s (t - 2 s^2 (1/3 + s^2 / 5 + ...)), whose terms are positive up to where |s| is 1/3. The
 * logarithm of a quotient that leaves the dtype is a difference. */
CF_INLINE vreal CF_FN(kl_div_of)(vreal x, vreal y) {
    vreal difference = y - x, t = difference / x, s = t / (t + v_set1(2)), w = s * s;
    vreal sum = v_set1(0);
    for (int k = 37; k >= 3; k -= 2)
        sum = v_fma(sum, w, v_set1((real)(1.0 / k)));
    vreal near = x * s * (t - v_set1(2) * w * sum);
    vreal quotient = y / x, tiny = v_set1(sizeof(real) == 4 ? (real)0x1p-126 : (real)0x1p-1022);
    vmask held = v_and(v_le(tiny, quotient), v_lt(quotient, v_set1((real)INFINITY)));
    vreal logarithm = v_select(held, v_log(quotient), v_log(y) - v_log(x));
    vmask is_near = v_le(v_abs(t), v_set1((real)0.5));
    vreal far = v_select(v_lt(y, v_set1((real)INFINITY)), difference - x * logarithm, difference);
    return v_select(is_near, near, far);
}

CF_BINARY(kl_div, CF_FN(kl_div_of)(x, y))

#endif
