/* x / (1 - p) where u >= p, else 0: operands x and u, uniform on (0, 1);
 * p is the probability. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double probability;
} dropout_params;

#define CF_BODY "ops/dropout.c"
#include "simd/instantiate.h"

static void dropout_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx);

static const cf_op dropout_op = {
    .name = "dropout",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(dropout_params),
    .elementwise = CF_VERSIONS(dropout),
    .gradient = dropout_rule,
};

/* Only u decides, and u depends on nothing. */
static void dropout_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    (void)out;
    if (needed[0])
        dx[0] = cf_elementwise_op(b, &dropout_op, 2, (cf_value[]){dout, node->operand[1]},
                                  cf_params_of(node));
}

cf_value cf_dropout(cf_builder *b, cf_value x, double probability) {
    if (cf_builder_mode(b) != CF_TRAINING || probability == 0.0 || cf_is_none(x))
        return x;
    cf_value u = cf_random_uniform_samples(b, cf_value_size(b, x), cf_next_stream(b));
    dropout_params params = {probability};
    return cf_elementwise_op(b, &dropout_op, 2, (cf_value[]){cf_broadcast(b, x), u},
                             CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

CF_BINARY_WITH(dropout_params, dropout,
               v_select(v_lt(y, CF_PARAM(probability)), v_set1(0),
                        x / (v_set1(1) - CF_PARAM(probability))))

#endif
