/* Loads a tile of the caller's array: any element type, strides and byte order, converted here and
 * nowhere else.
 *
 * With jitter the first operand is noise, which is scaled by it feature by feature. Noise and
 * affine map are applied in float64, before the rounding to the dtype of the run.
 */
#ifndef CF_FN

#include "engine/array.h"
#include "ops/input.h"
#include "ops/feature_rows.h"

typedef struct {
    int slot, jitter; /* jitter: the slot of the widths, or -1 */
    cf_padding padding;
    int64_t map; /* the offset of a fixed affine map's buffers, or -1 */
} input_params;

#define CF_BODY "ops/input.c"
#include "simd/instantiate.h"

static const cf_op input_op = {
    .name = "input",
    .flags = CF_OP_INPUT,
    .params = sizeof(input_params),
    .kernel = CF_VERSIONS(load),
};

/* Zeros beyond the last sample. */
static const cf_op cotangent_op = {
    .name = "cotangent",
    .flags = CF_OP_INPUT | CF_OP_LANES_DIFFER,
    .params = sizeof(input_params),
    .kernel = CF_VERSIONS(load),
};

static void affine_input_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                              const bool *needed, cf_value *dx) {
    const input_params *p = node->params;
    (void)out;
    (void)needed;
    dx[node->operands - 1] = cf_fixed_scale(b, dout, (size_t)p->map, true);
}

/* (input - shift) / scale. The last operand is the plain input, which stands there for the gradient
 * alone. */
static const cf_op affine_input_op = {
    .name = "affine input",
    .flags = CF_OP_INPUT | CF_OP_LAST_UNREAD,
    .params = sizeof(input_params),
    .kernel = CF_VERSIONS(load),
    .gradient = affine_input_rule,
};

cf_value cf_input(cf_builder *b, int slot, size_t features, cf_padding padding) {
    input_params params = {slot, -1, padding, -1};
    return cf_emit(b, padding == CF_PAD_ZERO ? &cotangent_op : &input_op, CF_BATCHED, features, 0,
                   NULL, CF_PARAMS(&params));
}

cf_value cf_jittered_input(cf_builder *b, int slot, int jitter, cf_value noise) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    input_params params = {slot, jitter, CF_PAD_REPEAT, -1};
    return cf_emit(b, &input_op, CF_BATCHED, cf_value_size(b, noise), 1, &noise,
                   CF_PARAMS(&params));
}

cf_value cf_affine_input(cf_builder *b, cf_value input, size_t offset) {
    const cf_node *node = cf_whole_node(b, input);
    if (node == NULL || node->op != &input_op)
        return CF_NO_VALUE;
    input_params params = *(const input_params *)node->params;
    params.map = (int64_t)offset;
    cf_value operands[2] = {node->operand[0], input};
    bool noise = node->operands > 0;
    return cf_emit(b, &affine_input_op, CF_BATCHED, node->size, noise ? 2 : 1,
                   noise ? operands : operands + 1, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"
#include "simd/transpose.h"

/* Where sample `lane` of the tile begins. */
static const char *CF_FN(sample)(const cf_call *call, const cf_array *array, size_t lane) {
    size_t sample = call->sample + (lane < call->samples ? lane : call->samples - 1);
    if (array->repeat > 1)
        sample /= array->repeat;
    int64_t index = array->index != NULL ? array->index[sample] : (int64_t)sample;
    return (const char *)array->data + index * array->row_stride;
}

/* Reads features [first, first + count) of the tile into `stage`, [count][CF_MAX_LANES]. */
static void CF_FN(read_features)(const cf_array *array, const char *const *samples, size_t first,
                                 size_t count, size_t lanes, double *stage) {
    ptrdiff_t offset[CF_LINE_FEATURES];
    for (size_t i = 0; i < count; i++)
        offset[i] = cf_feature_offset(array, first + i);
    for (size_t lane = 0; lane < lanes; lane++) {
        const char *sample = samples[lane];
        double *out = stage + lane;
        if (array->element == CF_DOUBLE && !array->swapped)
            for (size_t i = 0; i < count; i++)
                memcpy(&out[i * CF_MAX_LANES], sample + offset[i], sizeof(double));
        else if (array->element == CF_FLOAT && !array->swapped)
            for (size_t i = 0; i < count; i++) {
                float v;
                memcpy(&v, sample + offset[i], sizeof v);
                out[i * CF_MAX_LANES] = v;
            }
        else
            for (size_t i = 0; i < count; i++)
                out[i * CF_MAX_LANES] = cf_read_element(sample + offset[i], array);
    }
}

/* Feature f, whose samples are in `stage`. */
static void CF_FN(finish_feature)(const cf_call *call, size_t f, double *stage) {
    const cf_node *node = call->step->node;
    const input_params *p = node->params;
    const double *shift = p->map < 0 ? NULL : call->run->buffers + p->map;
    real *out = (real *)call->out + f * call->lanes;
    if (p->jitter >= 0) {
        const cf_array *jitter = &call->run->input[p->jitter];
        double width =
            cf_read_element((const char *)jitter->data + cf_feature_offset(jitter, f), jitter);
        const real *noise = cf_feature_row(call, 0, f);
        for (size_t lane = 0; lane < call->lanes; lane++)
            stage[lane] += width * noise[lane];
    }
    if (shift != NULL)
        for (size_t lane = 0; lane < call->lanes; lane++)
            stage[lane] = (stage[lane] - shift[f]) / shift[node->size + f];
    for (size_t lane = 0; lane < call->lanes; lane++)
        out[lane] = (real)stage[lane];
}

/* Whether numbers are in the dtype of the run already, lie side by side and stay as they are. */
static bool CF_FN(is_plain)(const cf_call *call, const cf_array *array) {
    const input_params *p = call->step->node->params;
    cf_element element = sizeof(real) == sizeof(float) ? CF_FLOAT : CF_DOUBLE;
    return array->element == element && !array->swapped && array->line == 0 &&
           array->feature_stride == sizeof(real) && p->map < 0 && p->jitter < 0;
}

/* CF_LINE_FEATURES plain features from `first` on. */
static void CF_FN(load_plain)(const cf_call *call, const char *const *samples, size_t first) {
    real line[CF_MAX_LANES][CF_LINE_FEATURES], *out = (real *)call->out + first * call->lanes;
    const real *row[CF_MAX_LANES];
    for (size_t lane = 0; lane < call->lanes; lane++) {
        memcpy(line[lane], samples[lane] + first * sizeof(real), sizeof line[lane]);
        row[lane] = line[lane];
    }
    for (size_t lane = 0; lane < call->lanes; lane += VL)
        CF_FN(transpose_rows)(row + lane, CF_LINE_FEATURES, out + lane, call->lanes);
}

/* Zeros in the lanes beyond the last sample. */
static void CF_FN(clear_rest)(const cf_call *call) {
    real *out = (real *)call->out + call->samples;
    for (size_t f = 0; f < call->step->node->size; f++)
        memset(out + f * call->lanes, 0, (call->lanes - call->samples) * sizeof(real));
}

static void CF_FN(load)(const cf_call *call) {
    const cf_node *node = call->step->node;
    const input_params *p = node->params;
    const cf_array *array = &call->run->input[p->slot];
    const char *samples[CF_MAX_LANES];
    double stage[CF_LINE_FEATURES * CF_MAX_LANES];
    for (size_t lane = 0; lane < call->lanes; lane++)
        samples[lane] = CF_FN(sample)(call, array, lane);
    bool plain = CF_FN(is_plain)(call, array);
    for (size_t first = 0; first < node->size; first += CF_LINE_FEATURES) {
        size_t rest = node->size - first, count = rest < CF_LINE_FEATURES ? rest : CF_LINE_FEATURES;
        if (plain && count == CF_LINE_FEATURES) {
            CF_FN(load_plain)(call, samples, first);
            continue;
        }
        CF_FN(read_features)(array, samples, first, count, call->lanes, stage);
        for (size_t i = 0; i < count; i++)
            CF_FN(finish_feature)(call, first + i, stage + i * CF_MAX_LANES);
    }
    if (p->padding == CF_PAD_ZERO && call->samples < call->lanes)
        CF_FN(clear_rest)(call);
}

#endif
