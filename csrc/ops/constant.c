/* One number in every feature. Batched, it is one feature repeated. */
#ifndef CF_FN

#include "ops/feature_rows.h"

typedef struct {
    double number;
} constant_params;

#define CF_BODY "ops/constant.c"
#include "simd/instantiate.h"

static const cf_op constant_op = {
    .name = "constant",
    .flags = CF_OP_INVARIANT,
    .params = sizeof(constant_params),
    .kernel = CF_VERSIONS(constant),
};

cf_value cf_constant(cf_builder *b, cf_kind kind, size_t size, double number) {
    constant_params params = {number};
    cf_value one = cf_emit(b, &constant_op, kind, 1, 0, NULL, CF_PARAMS(&params));
    return cf_repeat(b, one, size);
}

#else

#include "ops/feature_rows.h"

static void CF_FN(constant)(const cf_call *call) {
    const constant_params *p = call->step->node->params;
    vreal number = v_set1((real)p->number);
    for (size_t lane = 0; lane < call->lanes; lane += VL)
        cf_store_lanes(call->out, number, lane, call->lanes);
}

#endif
