/* The weights that take a convolution's cotangent back to its image: w'[c, o, i, j] = w[o, c, k - 1
 * - i, k - 1 - j]. integer[0 ... 2]: outputs, channels, k^2, of w. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/turn_kernel.c"
#include "simd/instantiate.h"

static void turn_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx);

static const cf_op turn_op = {
    .name = "turn_kernel",
    .kernel = CF_VERSIONS(turn),
    .gradient = turn_rule,
};

static cf_value emit(cf_builder *b, cf_value weight, int64_t outputs, int64_t channels,
                     int64_t taps) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    weight = cf_contiguous(b, weight);
    cf_attributes attributes = {.integer = {outputs, channels, taps}};
    return cf_emit(b, &turn_op, CF_SHARED, cf_value_size(b, weight), 1, &weight,
                   CF_PARAMS(&attributes));
}

/* Turning back. */
static void turn_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    const int64_t *integer = node->attributes.integer;
    (void)out;
    (void)needed;
    dx[0] = emit(b, dout, integer[1], integer[0], integer[2]);
}

cf_value cf_turn_kernel(cf_builder *b, cf_value weight, size_t outputs, size_t channels,
                        size_t kernel) {
    return emit(b, weight, (int64_t)outputs, (int64_t)channels, (int64_t)(kernel * kernel));
}

#else

static void CF_FN(turn)(const cf_call *call) {
    const int64_t *integer = call->step->node->attributes.integer;
    size_t outputs = (size_t)integer[0], channels = (size_t)integer[1], taps = (size_t)integer[2];
    const real *weight = cf_operand_base(call, 0);
    real *turned = call->out;
    for (size_t c = 0; c < channels; c++)
        for (size_t o = 0; o < outputs; o++)
            for (size_t tap = taps; tap-- > 0;)
                *turned++ = weight[(o * channels + c) * taps + tap];
}

#endif
