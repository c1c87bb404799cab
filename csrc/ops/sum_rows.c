/* The sum over all rows of each feature; lanes beyond the last row do not count. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/sum_rows.c"
#include "simd/instantiate.h"

static void sum_rows_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)node;
    (void)out;
    (void)needed;
    dx[0] = cf_spread_rows(b, dout);
}

static const cf_op sum_rows_op = {
    .name = "sum_rows",
    .flags = CF_OP_REDUCTION,
    .kernel = CF_VERSIONS(sum_rows),
    .gradient = sum_rows_rule,
};

cf_value cf_sum_rows(cf_builder *b, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    return cf_emit(b, &sum_rows_op, CF_SHARED, cf_value_size(b, x), 1, &x, CF_NO_PARAMS);
}

#else

#include "ops/rows.h"

static void CF_FN(sum_rows)(const cf_call *call) {
    real *out = call->out;
    for (size_t f = 0; f < call->step->out_size; f++) {
        const char *slice = (const char *)cf_row(call, 0, f);
        vreal sum = v_set1(0);
        for (size_t left = call->rows; left > 0; slice += call->slice_bytes) {
            size_t rows = left < call->lanes ? left : call->lanes;
            for (size_t lane = 0; lane < rows; lane += VL)
                sum = sum + cf_load_lanes((const real *)slice, lane, rows);
            left -= rows;
        }
        out[f] = call->accumulate ? out[f] + v_sum(sum) : v_sum(sum);
    }
}

#endif
