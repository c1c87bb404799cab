/* How many rows the run has: a shared number. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/row_count.c"
#include "simd/instantiate.h"

static const cf_op row_count_op = {
    .name = "row_count",
    .kernel = CF_VERSIONS(row_count),
};

cf_value cf_row_count(cf_builder *b) {
    return cf_emit(b, &row_count_op, CF_SHARED, 1, 0, NULL, CF_NO_PARAMS);
}

#else

static void CF_FN(row_count)(const cf_call *call) {
    *(real *)call->out = (real)call->run->rows;
}

#endif
