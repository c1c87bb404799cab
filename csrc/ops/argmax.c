/* The index of the largest feature, the first of equal ones. It does not vary with them: its
 * gradient is 0. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/argmax.c"
#include "simd/instantiate.h"

static const cf_op argmax_op = {
    .name = "argmax",
    .kernel = CF_VERSIONS(argmax),
    .gradient = cf_zero_gradient,
};

cf_value cf_argmax(cf_builder *b, cf_value x) {
    return cf_builder_status(b) == CF_OK
               ? cf_emit(b, &argmax_op, CF_BATCHED, 1, 1, &x, CF_NO_PARAMS)
               : CF_NO_VALUE;
}

#else

#include "ops/feature_rows.h"

static void CF_FN(argmax)(const cf_call *call) {
    size_t count = call->step->operand[0].size, lanes = call->lanes;
    real *out = call->out;
    for (size_t lane = 0; lane < lanes; lane++) {
        size_t first = 0;
        for (size_t k = 1; k < count; k++)
            if (cf_feature_row(call, 0, k)[lane] > cf_feature_row(call, 0, first)[lane])
                first = k;
        out[lane] = (real)first;
    }
}

#endif
