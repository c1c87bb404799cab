/* x where log_prob, one feature, is above -inf or NaN; 0 where it is -inf. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/where_possible.c"
#include "simd/instantiate.h"

static void where_possible_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                const bool *needed, cf_value *dx) {
    (void)out;
    if (needed[0])
        dx[0] = cf_scale_shift(b, dout, 0.0, 0.0);
    if (needed[1])
        dx[1] = cf_where_possible(b, node->operand[0], dout);
}

static const cf_op where_possible_op = {
    .name = "where_possible",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(where_possible),
    .gradient = where_possible_rule,
};

cf_value cf_where_possible(cf_builder *b, cf_value log_prob, cf_value x) {
    return cf_binary_op(b, &where_possible_op, log_prob, x);
}

bool cf_is_where_possible(const cf_builder *b, cf_value value, cf_value *log_prob, cf_value *x) {
    const cf_node *node = cf_whole_node(b, value);
    if (node == NULL || node->op != &where_possible_op)
        return false;
    *log_prob = node->operand[0];
    *x = node->operand[1];
    return true;
}

#else

#include "ops/elementwise.h"

CF_BINARY(where_possible, v_select(v_eq(x, v_set1((real)-INFINITY)), v_set1((real)0), y))

#endif
