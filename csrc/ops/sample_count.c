/* How many samples the run has: an unbatched number. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/sample_count.c"
#include "simd/instantiate.h"

static const cf_op sample_count_op = {
    .name = "sample_count",
    .kernel = CF_VERSIONS(sample_count),
};

cf_value cf_sample_count(cf_builder *b) {
    return cf_emit(b, &sample_count_op, CF_UNBATCHED, 1, 0, NULL, CF_NO_PARAMS);
}

#else

static void CF_FN(sample_count)(const cf_call *call) {
    *(real *)call->out = (real)call->run->samples;
}

#endif
