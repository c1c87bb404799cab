/* The weights that take a convolution's cotangent back to its image: w'[c, o, i, j] = w[o, c, k - 1
 * - i, k - 1 - j]. */
#ifndef CF_FN

#include "ops/feature_rows.h"

typedef struct {
    size_t outputs, channels, taps; /* of w; taps: k^2 */
} turn_params;

#define CF_BODY "ops/turn_kernel.c"
#include "simd/instantiate.h"

static void turn_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx);

static const cf_op turn_op = {
    .name = "turn_kernel",
    .params = sizeof(turn_params),
    .kernel = CF_VERSIONS(turn),
    .gradient = turn_rule,
};

static cf_value emit(cf_builder *b, cf_value weight, turn_params params) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    weight = cf_contiguous(b, weight);
    return cf_emit(b, &turn_op, CF_UNBATCHED, cf_value_size(b, weight), 1, &weight,
                   CF_PARAMS(&params));
}

/* The gradient turns back. */
static void turn_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    const turn_params *p = node->params;
    (void)out;
    (void)needed;
    dx[0] = emit(b, dout, (turn_params){p->channels, p->outputs, p->taps});
}

cf_value cf_turn_kernel(cf_builder *b, cf_value weight, size_t outputs, size_t channels,
                        size_t kernel) {
    return emit(b, weight, (turn_params){outputs, channels, kernel * kernel});
}

#else

static void CF_FN(turn)(const cf_call *call) {
    const turn_params *p = call->step->node->params;
    const real *weight = cf_operand_base(call, 0);
    real *turned = call->out;
    for (size_t c = 0; c < p->channels; c++)
        for (size_t o = 0; o < p->outputs; o++)
            for (size_t tap = p->taps; tap-- > 0;)
                *turned++ = weight[(o * p->channels + c) * p->taps + tap];
}

#endif
