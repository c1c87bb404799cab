/* x moved off the ends of (0, inf) or (0, 1), which it reached by rounding. */
#ifndef CF_FN

#include "ops/elementwise.h"
#include "ops/special.h"

typedef struct {
    bool below_one;
} interior_params;

#define CF_BODY "ops/interior.c"
#include "simd/instantiate.h"

static void interior_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)b;
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = dout;
}

static const cf_op interior_op = {
    .name = "interior",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(interior_params),
    .elementwise = CF_VERSIONS(interior),
    .gradient = interior_rule,
};

cf_value cf_interior(cf_builder *b, cf_value x, bool below_one) {
    interior_params params = {below_one};
    return cf_elementwise_op(b, &interior_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_INLINE vreal CF_FN(interior_of)(bool below_one, vreal x) {
    const bool narrow = sizeof(real) == 4;
    x = v_max(v_set1(narrow ? (real)0x1p-126 : (real)0x1p-1022), x);
    if (below_one)
        x = v_min(v_set1(1 - (narrow ? (real)0x1p-24 : (real)0x1p-53)), x);
    return x;
}

CF_UNARY_WITH(interior_params, interior, CF_FN(interior_of)(p->below_one, x))

#endif
