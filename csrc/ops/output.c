/* Stores a tile in the caller's array. With a fixed affine map x scale + shift is computed in
 * float64 and rounded once, unless the array is of float64. */
#ifndef CF_FN

#include "ops/input.h"
#include "ops/feature_rows.h"

typedef struct {
    int slot;
    int64_t map; /* the offset of a fixed affine map's buffers, or -1 */
} output_params;

#define CF_BODY "ops/output.c"
#include "simd/instantiate.h"

static const cf_op output_op = {
    .name = "output",
    .flags = CF_OP_OUTPUT,
    .params = sizeof(output_params),
    .kernel = CF_VERSIONS(store),
};

void cf_output(cf_builder *b, int slot, cf_value value) {
    output_params params = {slot, -1};
    size_t offset;
    if (cf_builder_status(b) != CF_OK || cf_is_none(value)) {
        cf_builder_fail(b, CF_INVALID, "an output is missing");
        return;
    }
    if (cf_value_kind(b, value) == CF_UNBATCHED)
        value = cf_broadcast(b, value);
    if (cf_is_fixed_affine(b, value, &value, &offset))
        params.map = (int64_t)offset;
    cf_emit(b, &output_op, CF_BATCHED, 0, 1, &value, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"
#include "simd/transpose.h"

/* One sample's `count` features; a map has their shifts, and `features` further on their scales. */
static void CF_FN(store_sample)(const real *const *row, size_t lane, size_t count,
                                const double *map, size_t features, real *x) {
    if (map == NULL) {
        for (size_t i = 0; i < count; i++)
            x[i] = row[i][lane];
        return;
    }
    for (size_t i = 0; i < count; i++)
        x[i] = (real)(row[i][lane] * map[features + i] + map[i]);
}

/* The same of all samples, unrounded, to rows of `stride` doubles. */
static void CF_FN(store_doubles)(const cf_call *call, const real *const *row, size_t count,
                                 const double *map, double *x, size_t stride) {
    size_t features = call->step->operand[0].size;
    for (size_t lane = 0; lane < call->samples; lane++, x += stride)
        for (size_t i = 0; i < count; i++)
            x[i] = map == NULL ? row[i][lane] : row[i][lane] * map[features + i] + map[i];
}

static void CF_FN(store)(const cf_call *call) {
    const output_params *p = call->step->node->params;
    const cf_result *result = &call->run->output[p->slot];
    size_t features = call->step->operand[0].size, stride = result->row_stride;
    const double *shift = p->map < 0 ? NULL : call->run->buffers + p->map;
    real *out = (real *)result->data + call->sample * stride;
    bool widened = result->as_double && sizeof(real) < sizeof(double);
    double *doubles = widened ? (double *)result->data + call->sample * stride : NULL;
    bool whole = shift == NULL && call->samples == call->lanes;
    for (size_t first = 0; first < features; first += CF_LINE_FEATURES) {
        size_t rest = features - first, count = rest < CF_LINE_FEATURES ? rest : CF_LINE_FEATURES;
        const double *map = shift == NULL ? NULL : shift + first;
        const real *row[CF_LINE_FEATURES];
        for (size_t i = 0; i < count; i++)
            row[i] = cf_feature_row(call, 0, first + i);
        if (widened)
            CF_FN(store_doubles)(call, row, count, map, doubles + first, stride);
        else if (whole && count == CF_LINE_FEATURES)
            for (size_t i = 0; i < count; i += VL)
                CF_FN(transpose_rows)(row + i, call->lanes, out + first + i, stride);
        else
            for (size_t lane = 0; lane < call->samples; lane++)
                CF_FN(store_sample)(row, lane, count, map, features, out + lane * stride + first);
    }
}

#endif
