/* Whether an iteration still moves: operands next, z and, if there is one, a
 * magnitude. */
#ifndef CF_FN

#include "ops/fixed_point.h"
#include "ops/feature_rows.h"

typedef struct {
    double tolerance; /* relative to the greatest feature of z */
    double units;     /* or so many in the last place */
    double floor;     /* the least that the greatest feature counts as */
} unsettled_params;

#define CF_BODY "ops/unsettled.c"
#include "simd/instantiate.h"

static const cf_op unsettled_op = {
    .name = "unsettled",
    .params = sizeof(unsettled_params),
    .kernel = CF_VERSIONS(unsettled),
    .gradient = cf_zero_gradient,
};

cf_value cf_unsettled(cf_builder *b, cf_value next, cf_value z, cf_value magnitude,
                      double tolerance, double units, double floor) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_is_none(next) || cf_value_size(b, next) != cf_value_size(b, z))
        return cf_builder_fail(b, CF_INVALID,
                               "a fixed point is sought of a map that changes sizes");
    unsettled_params params = {tolerance, units, floor};
    return cf_emit(b, &unsettled_op, CF_BATCHED, 1, cf_is_none(magnitude) ? 2 : 3,
                   (cf_value[]){next, z, magnitude}, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

static void CF_FN(unsettled)(const cf_call *call) {
    const unsettled_params *p = call->step->node->params;
    double last = (sizeof(real) == sizeof(float) ? 0x1p-23 : 0x1p-52) * p->units;
    vreal tolerance = v_set1((real)(p->tolerance > last ? p->tolerance : last));
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal size = v_set1((real)p->floor), moved = v_set1(0), nan = v_set1(0);
        for (size_t f = 0; f < call->step->operand[0].size; f++) {
            vreal z = v_load(cf_feature_row(call, 1, f) + lane);
            vreal difference = v_load(cf_feature_row(call, 0, f) + lane) - z;
            size = v_max(v_abs(z), size);
            moved = v_max(v_abs(difference), moved);
            nan = nan + (difference - difference); /* 0, or NaN where one is not finite */
        }
        if (call->step->node->operands > 2)
            size = v_max(v_load(cf_feature_row(call, 2, 0) + lane), size);
        vmask settled = v_le(moved, tolerance * size);
        v_store((real *)call->out + lane, v_select(settled, v_set1(0), v_set1(1)) + nan);
    }
}

#endif
