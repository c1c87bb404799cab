/* Stores a tile in the caller's array. A fixed map is computed in float64 and rounded once, unless
 * the array is of float64. */
#ifndef CF_FN

#include <string.h>

#include "ops/feature_rows.h"
#include "ops/fixed_map_ops.h"
#include "ops/store_rows.h"

typedef struct {
    int slot;
    bool mapped;
    cf_fixed_map map; /* then it is applied to what is stored */
    bool constant_slopes;
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
    output_params params = {.slot = slot};
    if (cf_builder_status(b) != CF_OK || cf_is_none(value)) {
        cf_builder_fail(b, CF_INVALID, "an output is missing");
        return;
    }
    if (cf_value_kind(b, value) == CF_UNBATCHED)
        value = cf_broadcast(b, value);
    if (cf_fixed_map_gradient_output(b, slot, value))
        return;
    const cf_fixed_map *map = cf_fixed_map_to_data(b, value, &value);
    if (map != NULL) {
        params.mapped = true;
        params.map = *map;
        params.constant_slopes = cf_fixed_map_has_constant_slopes(map);
    }
    cf_emit(b, &output_op, CF_BATCHED, 0, 1, &value, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"
#include "ops/store_rows.h"
#include "simd/transpose.h"

/* The numbers of `count` features in float64, the map applied. */
static void CF_FN(store_features)(const cf_call *call, const cf_map_call *map, size_t first,
                                  size_t count, const cf_result *result) {
    double stage[CF_LINE_FEATURES * CF_MAX_LANES];
    cf_mapped m;
    for (size_t i = 0; i < count; i++) {
        const real *row = cf_feature_row(call, 0, first + i);
        for (size_t lane = 0; lane < call->lanes; lane++)
            m.value[lane] = row[lane];
        if (map->map != NULL)
            cf_map_feature[call->level](map, first + i, call->lanes, NULL, &m);
        memcpy(stage + i * CF_MAX_LANES, m.value, call->lanes * sizeof *m.value);
    }
    CF_FN(store_rows)(call, result, first, count, stage);
}

/* CF_LINE_FEATURES features as they are, of a whole tile. */
static void CF_FN(store_plain)(const cf_call *call, size_t first, const cf_result *result) {
    size_t stride = result->row_stride;
    real *out = (real *)result->data + call->sample * stride + first;
    const real *row[CF_LINE_FEATURES];
    for (size_t i = 0; i < CF_LINE_FEATURES; i++)
        row[i] = cf_feature_row(call, 0, first + i);
    for (size_t i = 0; i < CF_LINE_FEATURES; i += VL)
        CF_FN(transpose_rows)(row + i, call->lanes, out + i, stride);
}

/* Some features of one sample after the other. */
static void CF_FN(store_samples)(const cf_call *call, size_t first, size_t count,
                                 const cf_result *result) {
    size_t stride = result->row_stride;
    real *out = (real *)result->data + call->sample * stride + first;
    const real *row[CF_LINE_FEATURES];
    for (size_t i = 0; i < count; i++)
        row[i] = cf_feature_row(call, 0, first + i);
    for (size_t lane = 0; lane < call->samples; lane++, out += stride)
        for (size_t i = 0; i < count; i++)
            out[i] = row[i][lane];
}

static void CF_FN(store)(const cf_call *call) {
    const output_params *p = call->step->node->params;
    const cf_result *result = &call->run->output[p->slot];
    size_t features = call->step->operand[0].size;
    bool as_it_is = !p->mapped && !(result->as_double && sizeof(real) < sizeof(double));
    bool whole = as_it_is && call->samples == call->lanes;
    cf_map_call map = {.map = p->mapped ? &p->map : NULL,
                       .buffers = call->run->buffers,
                       .constant_slopes = p->constant_slopes};
    for (size_t first = 0; first < features; first += CF_LINE_FEATURES) {
        size_t rest = features - first, count = rest < CF_LINE_FEATURES ? rest : CF_LINE_FEATURES;
        if (whole && count == CF_LINE_FEATURES)
            CF_FN(store_plain)(call, first, result);
        else if (as_it_is)
            CF_FN(store_samples)(call, first, count, result);
        else
            CF_FN(store_features)(call, &map, first, count, result);
    }
}

#endif
