/* x + y. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/add.c"
#include "simd/instantiate.h"

static void add_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                     const bool *needed, cf_value *dx) {
    (void)b;
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = dx[1] = dout;
}

static const cf_op add_op = {
    .name = "add",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(add),
    .gradient = add_rule,
};

cf_value cf_add(cf_builder *b, cf_value x, cf_value y) {
    return cf_binary_op(b, &add_op, x, y);
}

cf_value cf_add_optional(cf_builder *b, cf_value x, cf_value y) {
    if (cf_is_none(x))
        return y;
    return cf_is_none(y) ? x : cf_add(b, x, y);
}

bool cf_is_sum(const cf_builder *b, cf_value value, cf_value terms[2]) {
    const cf_node *node = cf_whole_node(b, value);
    if (node == NULL || node->op != &add_op)
        return false;
    terms[0] = node->operand[0];
    terms[1] = node->operand[1];
    return true;
}

#else

#include "ops/elementwise.h"

CF_BINARY(add, x + y)

#endif
