/* A random choice: operands u, one feature uniform on [0, 1), and probabilities that sum to 1. One
 * feature for each of them, 1 where u falls into its interval of their running sum and else 0. It
 * does not vary with the probabilities: its gradient is 0. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/choose.c"
#include "simd/instantiate.h"

static const cf_op choose_op = {
    .name = "choose",
    .kernel = CF_VERSIONS(choose),
    .gradient = cf_zero_gradient,
};

cf_value cf_choose(cf_builder *b, cf_value u, cf_value probabilities) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value operands[2] = {u, cf_broadcast(b, probabilities)};
    return cf_emit(b, &choose_op, CF_BATCHED, cf_value_size(b, probabilities), 2, operands,
                   CF_NO_PARAMS);
}

cf_value cf_one_hot(cf_builder *b, cf_value x, size_t categories) {
    double share = 1.0 / (double)categories;
    cf_value shares = cf_constant(b, CF_UNBATCHED, categories, share);
    return cf_choose(b, cf_scale_shift(b, x, share, 0.5 * share), shares);
}

#else

#include "ops/feature_rows.h"

/* The last one gets what rounding leaves. */
static void CF_FN(choose)(const cf_call *call) {
    size_t count = call->step->out_size, lanes = call->lanes;
    const real *u = cf_feature_row(call, 0, 0);
    real *out = call->out;
    for (size_t lane = 0; lane < lanes; lane++) {
        real sum = 0;
        bool open = true;
        for (size_t k = 0; k < count; k++) {
            sum += cf_feature_row(call, 1, k)[lane];
            bool chosen = open && (u[lane] < sum || k + 1 == count);
            out[k * lanes + lane] = chosen;
            open = open && !chosen;
        }
    }
}

#endif
