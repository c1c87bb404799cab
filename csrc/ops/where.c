/* x where the condition, one feature, is above 0, else y: whatever the other is. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/where.c"
#include "simd/instantiate.h"

static void where_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    cf_value condition = node->operand[0], zero = CF_NO_VALUE;
    (void)out;
    if (needed[1] || needed[2])
        zero = cf_constant(b, cf_value_kind(b, dout), cf_value_size(b, dout), 0.0);
    if (needed[1])
        dx[1] = cf_where(b, condition, dout, zero);
    if (needed[2])
        dx[2] = cf_where(b, condition, zero, dout);
}

static const cf_op where_op = {
    .name = "where",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(where),
    .gradient = where_rule,
};

cf_value cf_where(cf_builder *b, cf_value condition, cf_value x, cf_value y) {
    return cf_elementwise_op(b, &where_op, 3, (cf_value[]){condition, x, y}, CF_NO_PARAMS);
}

#else

#include "ops/elementwise.h"

static void CF_FN(where)(const void *params, size_t n, const void *const *in, void *out) {
    const real *conditions = in[0], *xs = in[1], *ys = in[2];
    real *zs = out;
    size_t i = 0;
    (void)params;
    for (; i + VL <= n; i += VL) {
        vmask chosen = v_lt(v_set1(0), v_load(conditions + i));
        v_store(zs + i, v_select(chosen, v_load(xs + i), v_load(ys + i)));
    }
    if (i < n) {
        vmask chosen = v_lt(v_set1(0), v_load_n(conditions + i, n - i));
        vreal z = v_select(chosen, v_load_n(xs + i, n - i), v_load_n(ys + i, n - i));
        v_store_n(zs + i, z, n - i);
    }
}

#endif
