/* Fixed maps: the value and its log_det. */
#ifndef CF_FN

#include "ops/fixed_map.h"

#include <math.h>

#include "ops/feature_rows.h"
#include "ops/fixed_map_ops.h"
#include "ops/input.h"

#define CF_BODY "ops/fixed_map.c"
#include "simd/instantiate.h"

static void value_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    size_t last = node->operands - 1;
    (void)out;
    if (needed[last])
        dx[last] = cf_fixed_map_derivative(b, node, dout, CF_MAP_SLOPE);
}

static void log_det_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    const cf_map_params *p = node->params;
    size_t last = node->operands - 1;
    (void)out;
    if (needed[last])
        dx[last] =
            cf_fixed_map_derivative(b, node, cf_repeat(b, dout, p->map.features), CF_MAP_LOG_SLOPE);
}

static const cf_op value_op = {
    .name = "fixed map",
    .params = sizeof(cf_map_params),
    .kernel = CF_VERSIONS(map_value),
    .gradient = value_rule,
};

static const cf_op value_input_op = {
    .name = "input of a fixed map",
    .flags = CF_MAP_BESIDE_INPUT,
    .params = sizeof(cf_map_params),
    .kernel = CF_VERSIONS(map_value),
    .gradient = value_rule,
};

static const cf_op log_det_op = {
    .name = "fixed map log_det",
    .params = sizeof(cf_map_params),
    .kernel = CF_VERSIONS(map_log_det),
    .gradient = log_det_rule,
};

static const cf_op log_det_input_op = {
    .name = "input of a fixed map log_det",
    .flags = CF_MAP_BESIDE_INPUT,
    .params = sizeof(cf_map_params),
    .kernel = CF_VERSIONS(map_log_det),
    .gradient = log_det_rule,
};

/* The log_det of a map of constant slopes. */
static const cf_op constant_op = {
    .name = "fixed map constant",
    .params = sizeof(cf_map_params),
    .kernel = CF_VERSIONS(map_constant),
};

/* ---- emission ---- */

/* Whether all steps are of one of the two kinds. */
static bool has_only(const cf_fixed_map *map, cf_map_kind one, cf_map_kind other) {
    if (map->steps == NULL)
        return map->every.kind == one || map->every.kind == other;
    for (size_t i = 0; i < map->first[map->features]; i++)
        if (map->steps[i].kind != one && map->steps[i].kind != other)
            return false;
    return true;
}

static cf_value emit(cf_builder *b, const cf_op *op, const cf_op *input_op, size_t size, cf_value x,
                     cf_map_params params, cf_value noise) {
    cf_plain_input input = {-1, -1, CF_NO_VALUE};
    cf_value operands[CF_MAX_OPERANDS];
    size_t count = 0;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    /* On the way to the data it is the output that has the numbers before their rounding. */
    bool beside = params.to_base && cf_is_plain_input(b, x, &input);
    params.slot = input.slot;
    params.jitter = input.jitter;
    params.noise = !cf_is_none(noise);
    params.constant_slopes = cf_fixed_map_has_constant_slopes(&params.map);
    if (input.jitter >= 0)
        operands[count++] = input.noise;
    if (params.noise)
        operands[count++] = noise;
    operands[count++] = x;
    return cf_emit(b, beside ? input_op : op, CF_BATCHED, size, count, operands,
                   CF_PARAMS(&params));
}

cf_value cf_fixed_map_value(cf_builder *b, cf_value x, const cf_fixed_map *map, bool to_base,
                            cf_value noise) {
    cf_map_params params = {.map = *map, .to_base = to_base};
    return emit(b, &value_op, &value_input_op, map->features, x, params, noise);
}

cf_value cf_fixed_map_log_det(cf_builder *b, cf_value x, const cf_fixed_map *map, bool to_base,
                              cf_value noise) {
    cf_map_params params = {.map = *map, .to_base = to_base, .slot = -1, .jitter = -1};
    if (has_only(map, CF_MAP_CIRCLE, CF_MAP_CIRCLE))
        return CF_NO_VALUE;
    if (cf_fixed_map_has_constant_slopes(map))
        return cf_emit(b, &constant_op, CF_UNBATCHED, 1, 0, NULL, CF_PARAMS(&params));
    return emit(b, &log_det_op, &log_det_input_op, 1, x, params, noise);
}

const cf_fixed_map *cf_fixed_map_to_data(const cf_builder *b, cf_value value, cf_value *operand) {
    const cf_node *node = cf_whole_node(b, value);
    if (node == NULL || node->op != &value_op)
        return NULL;
    const cf_map_params *p = node->params;
    if (p->to_base || p->noise)
        return NULL;
    *operand = node->operand[0];
    return &p->map;
}

/* ---- maps ---- */

bool cf_fixed_map_has_constant_slopes(const cf_fixed_map *map) {
    return has_only(map, CF_MAP_AFFINE, CF_MAP_CIRCLE);
}

double cf_fixed_map_constant(const cf_map_call *call, size_t f) {
    const cf_map_step *steps;
    cf_map_step own;
    double sum = 0.0;
    for (size_t i = cf_fixed_map_steps(call->map, f, &own, &steps); i-- > 0;) {
        if (steps[i].kind != CF_MAP_AFFINE)
            continue;
        double log_scale = log(fabs(call->buffers[steps[i].scale]));
        sum += call->to_base == steps[i].inverted ? log_scale : -log_scale;
    }
    return sum;
}

static cf_fixed_map affine_map(size_t features, size_t offset) {
    return (cf_fixed_map){
        .features = features,
        .every = {.kind = CF_MAP_AFFINE, .shift = offset, .scale = offset + features}};
}

cf_value cf_fixed_affine(cf_builder *b, cf_value x, size_t offset, bool inverse) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_fixed_map map = affine_map(cf_value_size(b, x), offset);
    return cf_fixed_map_value(b, x, &map, inverse, CF_NO_VALUE);
}

cf_value cf_fixed_affine_log_det(cf_builder *b, size_t offset, size_t features) {
    cf_fixed_map map = affine_map(features, offset);
    return cf_fixed_map_log_det(b, CF_NO_VALUE, &map, false, CF_NO_VALUE);
}

#else

#include "ops/fixed_map_ops.h"

static void CF_FN(map_value)(const cf_call *call) {
    real *out = call->out;
    map_reader r;
    cf_mapped m;
    CF_FN(map_begin)(&r, call, 0, false, false);
    for (size_t f = 0; f < call->step->node->size; f++, out += call->lanes) {
        CF_FN(map_next)(&r, f, &m);
        for (size_t lane = 0; lane < call->lanes; lane++)
            out[lane] = (real)m.value[lane];
    }
}

static void CF_FN(map_log_det)(const cf_call *call) {
    real *out = call->out;
    double sum[CF_MAX_LANES] = {0};
    map_reader r;
    cf_mapped m;
    CF_FN(map_begin)(&r, call, 0, true, false);
    for (size_t f = 0; f < r.params->map.features; f++) {
        CF_FN(map_next)(&r, f, &m);
        for (size_t lane = 0; lane < call->lanes; lane++)
            sum[lane] += m.log_slope[lane];
    }
    for (size_t lane = 0; lane < call->lanes; lane++)
        out[lane] = (real)sum[lane];
}

static void CF_FN(map_constant)(const cf_call *call) {
    const cf_map_params *p = call->step->node->params;
    cf_map_call map = {.map = &p->map, .buffers = call->run->buffers, .to_base = p->to_base};
    double sum = 0.0;
    for (size_t f = 0; f < p->map.features; f++)
        sum += cf_fixed_map_constant(&map, f);
    *(real *)call->out = (real)sum;
}

#endif
