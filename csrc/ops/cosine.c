/* cos(2 pi (turns x + phase)). The sine is the cosine a quarter turn before, and the derivative
 * that of a quarter turn after. */
#ifndef CF_FN

#include "ops/elementwise.h"

typedef struct {
    double turns, phase; /* of one turn */
} cosine_params;

#define CF_BODY "ops/cosine.c"
#include "simd/instantiate.h"

static const double TWO_PI = 6.283185307179586;

static void cosine_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    const cosine_params *p = node->params;
    (void)out;
    (void)needed;
    cf_value slope = cf_cosine(b, node->operand[0], p->turns, p->phase + 0.25);
    dx[0] = cf_multiply(b, cf_scale_shift(b, slope, TWO_PI * p->turns, 0.0), dout);
}

static const cf_op cosine_op = {
    .name = "cosine",
    .flags = CF_OP_ELEMENTWISE,
    .params = sizeof(cosine_params),
    .elementwise = CF_VERSIONS(cosine),
    .gradient = cosine_rule,
};

cf_value cf_cosine(cf_builder *b, cf_value x, double turns, double phase) {
    cosine_params params = {turns, phase};
    return cf_elementwise_op(b, &cosine_op, 1, (cf_value[]){x}, CF_PARAMS(&params));
}

#else

#include "ops/elementwise.h"

/* Whole turns are removed first, so that the phase is added to a number of at most 1/2. */
CF_INLINE vreal CF_FN(cosine_of)(vreal turned, vreal phase) {
    vreal sine, result;
    v_sincos_2pi(turned - v_round(turned) + phase, &sine, &result);
    return result;
}

CF_UNARY_WITH(cosine_params, cosine, CF_FN(cosine_of)(x *CF_PARAM(turns), CF_PARAM(phase)))

#endif
