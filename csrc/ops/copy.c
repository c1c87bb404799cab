/* A node of its own with the features of x. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/copy.c"
#include "simd/instantiate.h"

static void copy_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    (void)b;
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = dout;
}

static const cf_op copy_op = {
    .name = "copy",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(copy),
    .gradient = copy_rule,
};

cf_value cf_copy(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &copy_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(copy, x)

#endif
