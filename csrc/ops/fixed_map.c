/* Fixed maps: the value, its log_det, and the derivatives that the gradients of both are made of.
 * Each of the three reads x among its operands, or, beside an input, from the caller's array; then
 * the last operand is the plain input, which stands there for the gradient alone. */
#ifndef CF_FN

#include "ops/fixed_map.h"

#include <math.h>
#include <string.h>

#include "ops/feature_rows.h"
#include "ops/input.h"
#include "ops/read_rows.h"

/* Derivatives of the map and, from the 4th on, of the logarithm of its slope. */
enum { SLOPE, SLOPE_2, SLOPE_3, LOG_SLOPE, LOG_SLOPE_2 };

typedef struct {
    cf_fixed_map map;
    bool to_base, constant_slopes;
    bool noise;       /* the operand before the last */
    int slot, jitter; /* of an input, or -1 */
    int order;
} map_params;

#define CF_BODY "ops/fixed_map.c"
#include "simd/instantiate.h"

static cf_value emit_derivative(cf_builder *b, const cf_node *node, cf_value factor, int order);

static void value_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    size_t last = node->operands - 1;
    (void)out;
    if (needed[last])
        dx[last] = emit_derivative(b, node, dout, SLOPE);
}

static void log_det_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    const map_params *p = node->params;
    size_t last = node->operands - 1;
    (void)out;
    if (needed[last])
        dx[last] = emit_derivative(b, node, cf_repeat(b, dout, p->map.features), LOG_SLOPE);
}

/* Of factor times a derivative. */
static void derivative_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    const map_params *p = node->params;
    size_t last = node->operands - 1;
    (void)out;
    if (needed[0])
        dx[0] = emit_derivative(b, node, dout, p->order);
    if (!needed[last] || p->constant_slopes)
        return;
    if (p->order == SLOPE_3 || p->order == LOG_SLOPE_2)
        cf_builder_fail(b, CF_INVALID, "a fixed map can be differentiated three times");
    else
        dx[last] = emit_derivative(b, node, cf_multiply(b, node->operand[0], dout), p->order + 1);
}

enum { BESIDE_INPUT = CF_OP_INPUT | CF_OP_LAST_UNREAD };

static const cf_op value_op = {
    .name = "fixed map",
    .params = sizeof(map_params),
    .kernel = CF_VERSIONS(map_value),
    .gradient = value_rule,
};

static const cf_op value_input_op = {
    .name = "input of a fixed map",
    .flags = BESIDE_INPUT,
    .params = sizeof(map_params),
    .kernel = CF_VERSIONS(map_value),
    .gradient = value_rule,
};

static const cf_op log_det_op = {
    .name = "fixed map log_det",
    .params = sizeof(map_params),
    .kernel = CF_VERSIONS(map_log_det),
    .gradient = log_det_rule,
};

static const cf_op log_det_input_op = {
    .name = "input of a fixed map log_det",
    .flags = BESIDE_INPUT,
    .params = sizeof(map_params),
    .kernel = CF_VERSIONS(map_log_det),
    .gradient = log_det_rule,
};

static const cf_op derivative_op = {
    .name = "fixed map derivative",
    .params = sizeof(map_params),
    .kernel = CF_VERSIONS(map_derivative),
    .gradient = derivative_rule,
};

static const cf_op derivative_input_op = {
    .name = "input of a fixed map derivative",
    .flags = BESIDE_INPUT,
    .params = sizeof(map_params),
    .kernel = CF_VERSIONS(map_derivative),
    .gradient = derivative_rule,
};

/* The log_det of a map of constant slopes. */
static const cf_op constant_op = {
    .name = "fixed map constant",
    .params = sizeof(map_params),
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

static cf_value emit_derivative(cf_builder *b, const cf_node *node, cf_value factor, int order) {
    map_params params = *(const map_params *)node->params;
    bool of_derivative = node->op == &derivative_op || node->op == &derivative_input_op;
    size_t first = of_derivative ? 1 : 0, count = 1;
    cf_value operands[CF_MAX_OPERANDS] = {factor};
    for (size_t i = first; i < node->operands; i++)
        operands[count++] = node->operand[i];
    params.order = order;
    return cf_emit(b, params.slot < 0 ? &derivative_op : &derivative_input_op, CF_BATCHED,
                   params.map.features, count, operands, CF_PARAMS(&params));
}

static cf_value emit(cf_builder *b, const cf_op *op, const cf_op *input_op, size_t size, cf_value x,
                     map_params params, cf_value noise) {
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
    map_params params = {.map = *map, .to_base = to_base};
    return emit(b, &value_op, &value_input_op, map->features, x, params, noise);
}

cf_value cf_fixed_map_log_det(cf_builder *b, cf_value x, const cf_fixed_map *map, bool to_base,
                              cf_value noise) {
    map_params params = {.map = *map, .to_base = to_base, .slot = -1, .jitter = -1};
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
    const map_params *p = node->params;
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

#include "ops/feature_rows.h"

#undef map_reader
#undef MAP_UNIT
#define map_reader CF_FN(cf_map_reader)

#ifdef CF_REAL_F32
#define MAP_UNIT 0x1p-23
#else
#define MAP_UNIT 0x1p-52
#endif

/* Where the numbers of a tile come from. */
typedef struct {
    const cf_call *call;
    const map_params *params;
    size_t first_operand; /* before jitter's noise, noise and x */
    cf_map_call map;
    const char *rows[CF_MAX_LANES]; /* of an input */
    double stage[CF_LINE_FEATURES * CF_MAX_LANES];
} map_reader;

static void CF_FN(map_begin)(map_reader *r, const cf_call *call, size_t first_operand,
                             bool log_slopes, bool derivatives) {
    const map_params *p = call->step->node->params;
    r->call = call;
    r->params = p;
    r->first_operand = first_operand;
    r->map = (cf_map_call){.map = &p->map,
                           .buffers = call->run->buffers,
                           .unit = MAP_UNIT,
                           .to_base = p->to_base,
                           .constant_slopes = p->constant_slopes,
                           .log_slopes = log_slopes,
                           .derivatives = derivatives};
    if (p->slot >= 0)
        cf_find_rows(call, &call->run->input[p->slot], r->rows);
}

static void CF_FN(map_widen)(const real *row, size_t lanes, double *out) {
    for (size_t lane = 0; lane < lanes; lane++)
        out[lane] = row[lane];
}

/* x of feature f, before any rounding. */
static void CF_FN(map_read)(map_reader *r, size_t f, double *out) {
    const cf_call *call = r->call;
    const map_params *p = r->params;
    size_t features = p->map.features, line = f % CF_LINE_FEATURES, lanes = call->lanes;
    if (p->slot < 0) {
        CF_FN(map_widen)(cf_feature_row(call, r->first_operand + p->noise, f), lanes, out);
        return;
    }
    if (line == 0)
        cf_read_features(&call->run->input[p->slot], r->rows, f,
                         features - f < CF_LINE_FEATURES ? features - f : CF_LINE_FEATURES, lanes,
                         r->stage);
    memcpy(out, r->stage + line * CF_MAX_LANES, lanes * sizeof *out);
    if (p->jitter < 0)
        return;
    double width = cf_jitter_width(call, p->jitter, f);
    const real *noise = cf_feature_row(call, r->first_operand, f);
    for (size_t lane = 0; lane < lanes; lane++)
        out[lane] += width * noise[lane];
}

/* Maps feature f; the features are taken in ascending order. */
static void CF_FN(map_next)(map_reader *r, size_t f, cf_mapped *m) {
    const cf_call *call = r->call;
    const map_params *p = r->params;
    double noise[CF_MAX_LANES];
    CF_FN(map_read)(r, f, m->value);
    if (p->noise)
        CF_FN(map_widen)
    (cf_feature_row(call, r->first_operand + (p->jitter >= 0), f), call->lanes, noise);
    cf_map_feature[call->level](&r->map, f, call->lanes, p->noise ? noise : NULL, m);
}

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

static double CF_FN(map_derivative_of)(const cf_mapped *m, size_t lane, int order) {
    double slope = m->slope[lane], d_log_slope = m->d_log_slope[lane],
           d2_log_slope = m->d2_log_slope[lane];
    switch (order) {
    case SLOPE:
        return slope;
    case SLOPE_2:
        return slope * d_log_slope;
    case SLOPE_3:
        return slope * (d2_log_slope + d_log_slope * d_log_slope);
    case LOG_SLOPE:
        return d_log_slope;
    default:
        return d2_log_slope;
    }
}

static void CF_FN(map_derivative)(const cf_call *call) {
    const map_params *p = call->step->node->params;
    real *out = call->out;
    map_reader r;
    cf_mapped m;
    CF_FN(map_begin)(&r, call, 1, false, true);
    for (size_t f = 0; f < call->step->node->size; f++, out += call->lanes) {
        const real *factor = cf_feature_row(call, 0, f);
        CF_FN(map_next)(&r, f, &m);
        for (size_t lane = 0; lane < call->lanes; lane++)
            out[lane] = (real)(factor[lane] * CF_FN(map_derivative_of)(&m, lane, p->order));
    }
}

static void CF_FN(map_constant)(const cf_call *call) {
    const map_params *p = call->step->node->params;
    cf_map_call map = {.map = &p->map, .buffers = call->run->buffers, .to_base = p->to_base};
    double sum = 0.0;
    for (size_t f = 0; f < p->map.features; f++)
        sum += cf_fixed_map_constant(&map, f);
    *(real *)call->out = (real)sum;
}

#endif
