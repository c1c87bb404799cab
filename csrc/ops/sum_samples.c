/* The sum over all samples of each feature; lanes beyond the last sample do not count. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/sum_samples.c"
#include "simd/instantiate.h"

static void sum_samples_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = cf_broadcast_padded(b, dout);
}

static const cf_op sum_samples_op = {
    .name = "sum_samples",
    .flags = CF_OP_REDUCTION,
    .kernel = CF_VERSIONS(sum_samples),
    .gradient = sum_samples_rule,
};

cf_value cf_sum_samples(cf_builder *b, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    return cf_emit(b, &sum_samples_op, CF_UNBATCHED, cf_value_size(b, x), 1, &x, CF_NO_PARAMS);
}

#else

#include "ops/feature_rows.h"

static void CF_FN(sum_samples)(const cf_call *call) {
    real *out = call->out;
    for (size_t f = 0; f < call->step->out_size; f++) {
        const char *slice = (const char *)cf_feature_row(call, 0, f);
        vreal sum = v_set1(0);
        for (size_t left = call->samples; left > 0; slice += call->slice_bytes) {
            size_t samples = left < call->lanes ? left : call->lanes;
            for (size_t lane = 0; lane < samples; lane += VL)
                sum = sum + cf_load_lanes((const real *)slice, lane, samples);
            left -= samples;
        }
        out[f] = call->accumulate ? out[f] + v_sum(sum) : v_sum(sum);
    }
}

#endif
