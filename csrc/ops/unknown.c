/* Whether a sample is known: 0 where all features are finite, else NaN. Its gradient is 0. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/unknown.c"
#include "simd/instantiate.h"

static const cf_op unknown_op = {
    .name = "unknown",
    .kernel = CF_VERSIONS(unknown),
    .gradient = cf_zero_gradient,
};

cf_value cf_unknown(cf_builder *b, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    x = cf_contiguous(b, x);
    return cf_emit(b, &unknown_op, cf_value_kind(b, x), 1, 1, &x, CF_NO_PARAMS);
}

#else

#include "ops/feature_rows.h"

static void CF_FN(unknown)(const cf_call *call) {
    size_t count = call->step->operand[0].size, lanes = call->lanes;
    for (size_t lane = 0; lane < lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < count; f++)
            sum = sum + v_set1(0) * cf_load_lanes(cf_feature_row(call, 0, f), lane, lanes);
        cf_store_lanes((real *)call->out, sum, lane, lanes);
    }
}

#endif
