/* u of u exp(h u^2 / 2) = z, for h >= 0: by Lambert's function W, u = z exp(-W(h z^2) / 2) (Goerg
 * 2015, arXiv:1010.2265, definition 2.3). */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/lambert_root.c"
#include "simd/instantiate.h"

/* du = (exp(-w / 2) dz - u (u^2 / 2) dh) / (1 + w), with w = h u^2. */
static void lambert_root_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                              const bool *needed, cf_value *dx) {
    cf_value w = cf_multiply(b, cf_multiply(b, node->operand[1], out), out);
    cf_value share = cf_divide(b, dout, cf_scale_shift(b, w, 1.0, 1.0));
    if (needed[0])
        dx[0] = cf_multiply(b, share, cf_exp(b, cf_scale_shift(b, w, -0.5, 0.0)));
    if (needed[1]) {
        cf_value square = cf_multiply(b, out, out);
        dx[1] = cf_multiply(b, cf_multiply(b, share, square), cf_scale_shift(b, out, -0.5, 0.0));
    }
}

static const cf_op lambert_root_op = {
    .name = "lambert_root",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(lambert_root),
    .gradient = lambert_root_rule,
};

cf_value cf_lambert_root(cf_builder *b, cf_value z, cf_value h) {
    return cf_binary_op(b, &lambert_root_op, z, h);
}

#else

#include "ops/elementwise.h"

/* w = W(e^t), that is w + log(w) = t: from a start that is right to a few percent (Iacono and Boyd
 * 2017) by the fourth-order step of Fritsch, Shafer and Crowley 1973, twice. Below t = -60, w is 0
 * to rounding. */
CF_INLINE vreal CF_FN(lambert_of_exp)(vreal t) {
    vreal one = v_set1(1), two = v_set1(2);
    t = v_max(v_set1(-60), t);
    vreal s = v_softplus(t), w = s * (one - v_log1p(s) / (two + s));
    for (int k = 0; k < 2; k++) {
        vreal r = t - w - v_log(w), next = one + w;
        vreal q = two * next * (next + r * v_set1((real)(2.0 / 3.0)));
        w = w * (one + r / next * ((q - r) / (q - two * r)));
    }
    return w;
}

/* Far out from h u^2 = w, where only w's own rounding counts. */
CF_INLINE vreal CF_FN(lambert_root_of)(vreal z, vreal h) {
    vreal a = v_abs(z), one = v_set1(1);
    vreal w = CF_FN(lambert_of_exp)(v_fma(v_set1(2), v_log(a), v_log(h)));
    vreal near = z * v_exp(v_set1((real)-0.5) * w), far = v_with_sign(v_sqrt(w / h), z);
    vreal u = v_select(v_lt(w, one), near, far);
    return v_select(v_lt(a, v_set1((real)INFINITY)), u, z);
}

CF_BINARY(lambert_root, CF_FN(lambert_root_of)(x, y))

#endif
