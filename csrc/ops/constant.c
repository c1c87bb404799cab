/* number[0] in every feature. In rows it is one feature repeated. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/constant.c"
#include "simd/instantiate.h"

static const cf_op constant_op = {
    .name = "constant",
    .flags = CF_OP_INVARIANT,
    .kernel = CF_VERSIONS(constant),
};

cf_value cf_constant(cf_builder *b, cf_kind kind, size_t size, double number) {
    cf_attributes attributes = {.number = {number}};
    cf_value one = cf_emit(b, &constant_op, kind, 1, 0, NULL, CF_PARAMS(&attributes));
    return cf_repeat(b, one, size);
}

#else

#include "ops/rows.h"

static void CF_FN(constant)(const cf_call *call) {
    vreal number = v_set1((real)call->step->node->attributes.number[0]);
    for (size_t lane = 0; lane < call->lanes; lane += VL)
        cf_store_lanes(call->out, number, lane, call->lanes);
}

#endif
