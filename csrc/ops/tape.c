/* What loops differentiated by their recorded steps read. */
#ifndef CF_FN

#include "ops/elementwise.h"
#include "ops/feature_rows.h"

typedef struct {
    size_t features, first; /* of all states, and the first of those asked for */
} read_tape_params;

#define CF_BODY "ops/tape.c"
#include "simd/instantiate.h"

static const cf_op read_tape_op = {
    .name = "the tape of a loop",
    .params = sizeof(read_tape_params),
    .kernel = CF_VERSIONS(read_tape),
};

static const cf_op where_remaining_op = {
    .name = "a recorded step",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(where_remaining),
};

static const cf_op nan_where_failed_op = {
    .name = "what has failed",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(nan_where_failed),
};

cf_value cf_nan_where_failed(cf_builder *b, cf_value failed, cf_value x) {
    return cf_binary_op(b, &nan_where_failed_op, failed, x);
}

cf_value cf_read_tape(cf_builder *b, cf_value tape, cf_value remaining, size_t features,
                      size_t first, size_t count) {
    read_tape_params params = {features, first};
    return cf_emit(b, &read_tape_op, CF_BATCHED, count, 2, (cf_value[]){tape, remaining},
                   CF_PARAMS(&params));
}

cf_value cf_where_remaining(cf_builder *b, cf_value remaining, cf_value x) {
    return cf_binary_op(b, &where_remaining_op, remaining, x);
}

#else

#include "ops/elementwise.h"
#include "ops/feature_rows.h"

/* Where the states of a sample are on the tape. */
static inline size_t CF_FN(tape_row)(const cf_call *call, size_t lane) {
    const read_tape_params *p = call->step->node->params;
    real remaining = cf_feature_row(call, 1, 0)[lane];
    size_t iteration = remaining > 1 ? (size_t)remaining - 1 : 0;
    return iteration * p->features + p->first;
}

static void CF_FN(read_tape)(const cf_call *call) {
    size_t lanes = call->lanes, size = call->step->out_size, same = 1;
    real *out = call->out;
    size_t first = CF_FN(tape_row)(call, 0);
    while (same < lanes && CF_FN(tape_row)(call, same) == first)
        same++;
    if (same == lanes) {
        for (size_t f = 0; f < size; f++)
            memcpy(out + f * lanes, cf_feature_row(call, 0, first + f), lanes * sizeof(real));
        return;
    }
    for (size_t lane = 0; lane < lanes; lane++) {
        first = CF_FN(tape_row)(call, lane);
        for (size_t f = 0; f < size; f++)
            out[f * lanes + lane] = cf_feature_row(call, 0, first + f)[lane];
    }
}

CF_BINARY(where_remaining, v_select(v_lt(v_set1(0), x), y, v_set1(0)))

CF_BINARY(nan_where_failed, v_select(v_lt(v_set1(0), x), v_set1((real)NAN), y))

#endif
