/* x / |x|, and behind it 1 / |x|, however large or small x is; of zeros, zeros. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/unit_vector.c"
#include "simd/instantiate.h"

/* With y = x / |x| and r = 1 / |x|: dx = r (dy - (y dy) y) - r^2 dr y. */
static void unit_vector_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    size_t n = node->operand_size[0];
    cf_value y = cf_slice(b, out, 0, n), r = cf_slice(b, out, n, 1);
    cf_value dy = cf_slice(b, dout, 0, n), dr = cf_slice(b, dout, n, 1);
    cf_value along = cf_sum_features(b, cf_multiply(b, y, dy));
    (void)needed;
    along = cf_repeat(b, cf_add(b, along, cf_multiply(b, dr, r)), n);
    dx[0] = cf_multiply(b, cf_subtract(b, dy, cf_multiply(b, along, y)), cf_repeat(b, r, n));
}

static const cf_op unit_vector_op = {
    .name = "unit_vector",
    .kernel = CF_VERSIONS(unit_vector),
    .gradient = unit_vector_rule,
};

cf_value cf_unit_vector(cf_builder *b, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t n = cf_value_size(b, x);
    x = cf_contiguous(b, x);
    return cf_slice(b, cf_emit(b, &unit_vector_op, cf_value_kind(b, x), n + 1, 1, &x, CF_NO_PARAMS),
                    0, n);
}

#else

#include "ops/feature_rows.h"
#include "simd/math.h"

/* In units of the largest number: of vectors but 0 the sum of squares is at least 1. */
static void CF_FN(unit_vector_lanes)(const cf_call *call, size_t n, size_t lane) {
    real *out = call->out;
    bool single = sizeof(real) == sizeof(float);
    vreal least = v_set1(single ? (real)0x1p-149f : (real)0x1p-1074), one = v_set1(1);
    vreal most = v_set1(single ? (real)0x1p127f : (real)0x1p1023), max = least, sum = v_set1(0);
    for (size_t f = 0; f < n; f++)
        max = v_max(max, v_abs(cf_load_lanes(cf_feature_row(call, 0, f), lane, call->lanes)));
    for (size_t f = 0; f < n; f++) {
        vreal x = cf_load_lanes(cf_feature_row(call, 0, f), lane, call->lanes) / max;
        sum = sum + x * x;
    }
    vreal length = v_sqrt(v_max(sum, one));
    for (size_t f = 0; f < n; f++) {
        vreal x = cf_load_lanes(cf_feature_row(call, 0, f), lane, call->lanes) / max;
        cf_store_lanes(out + f * call->lanes, x / length, lane, call->lanes);
    }
    vreal inverse = v_min(v_min(sum, one) / length / max, most);
    cf_store_lanes(out + n * call->lanes, inverse, lane, call->lanes);
}

static void CF_FN(unit_vector)(const cf_call *call) {
    for (size_t lane = 0; lane < call->lanes; lane += VL)
        CF_FN(unit_vector_lanes)(call, call->step->operand[0].size, lane);
}

#endif
