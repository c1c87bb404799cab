/* Loads a tile of the caller's array. With jitter the first operand is noise, which is scaled by it
 * feature by feature and added in float64, before the rounding to the dtype of the run. */
#ifndef CF_FN

#include "ops/input.h"
#include "ops/feature_rows.h"
#include "ops/read_rows.h"

typedef struct {
    int slot, jitter; /* jitter: the slot of the widths, or -1 */
    cf_padding padding;
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

cf_value cf_input(cf_builder *b, int slot, size_t features, cf_padding padding) {
    input_params params = {slot, -1, padding};
    return cf_emit(b, padding == CF_PAD_ZERO ? &cotangent_op : &input_op, CF_BATCHED, features, 0,
                   NULL, CF_PARAMS(&params));
}

cf_value cf_jittered_input(cf_builder *b, int slot, int jitter, cf_value noise) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    input_params params = {slot, jitter, CF_PAD_REPEAT};
    return cf_emit(b, &input_op, CF_BATCHED, cf_value_size(b, noise), 1, &noise,
                   CF_PARAMS(&params));
}

bool cf_is_plain_input(const cf_builder *b, cf_value value, cf_plain_input *out) {
    const cf_node *node = cf_whole_node(b, value);
    if (node == NULL || node->op != &input_op)
        return false;
    const input_params *p = node->params;
    *out =
        (cf_plain_input){p->slot, p->jitter, node->operands > 0 ? node->operand[0] : CF_NO_VALUE};
    return true;
}

int cf_cotangent_slot(const cf_builder *b, cf_value value) {
    const cf_node *node = cf_whole_node(b, value);
    bool found = node != NULL && node->op == &cotangent_op;
    return found ? ((const input_params *)node->params)->slot : -1;
}

#else

#include "ops/feature_rows.h"
#include "simd/transpose.h"

/* Feature f, whose samples are in `stage`. */
static void CF_FN(finish_feature)(const cf_call *call, size_t f, double *stage) {
    const input_params *p = call->step->node->params;
    real *out = (real *)call->out + f * call->lanes;
    if (p->jitter >= 0) {
        double width = cf_jitter_width(call, p->jitter, f);
        const real *noise = cf_feature_row(call, 0, f);
        for (size_t lane = 0; lane < call->lanes; lane++)
            stage[lane] += width * noise[lane];
    }
    for (size_t lane = 0; lane < call->lanes; lane++)
        out[lane] = (real)stage[lane];
}

/* Whether numbers are in the dtype of the run already, lie side by side and stay as they are. */
static bool CF_FN(is_plain)(const cf_call *call, const cf_array *array) {
    const input_params *p = call->step->node->params;
    cf_element element = sizeof(real) == sizeof(float) ? CF_FLOAT : CF_DOUBLE;
    return array->element == element && !array->swapped && array->line == 0 &&
           array->feature_stride == sizeof(real) && p->jitter < 0;
}

/* CF_LINE_FEATURES plain features from `first` on. */
static void CF_FN(load_plain)(const cf_call *call, const char *const *rows, size_t first) {
    real line[CF_MAX_LANES][CF_LINE_FEATURES], *out = (real *)call->out + first * call->lanes;
    const real *row[CF_MAX_LANES];
    for (size_t lane = 0; lane < call->lanes; lane++) {
        memcpy(line[lane], rows[lane] + first * sizeof(real), sizeof line[lane]);
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
    const char *rows[CF_MAX_LANES];
    double stage[CF_LINE_FEATURES * CF_MAX_LANES];
    cf_find_rows(call, array, rows);
    bool plain = CF_FN(is_plain)(call, array);
    for (size_t first = 0; first < node->size; first += CF_LINE_FEATURES) {
        size_t rest = node->size - first, count = rest < CF_LINE_FEATURES ? rest : CF_LINE_FEATURES;
        if (plain && count == CF_LINE_FEATURES) {
            CF_FN(load_plain)(call, rows, first);
            continue;
        }
        cf_read_features(array, rows, first, count, call->lanes, stage);
        for (size_t i = 0; i < count; i++)
            CF_FN(finish_feature)(call, first + i, stage + i * CF_MAX_LANES);
    }
    if (p->padding == CF_PAD_ZERO && call->samples < call->lanes)
        CF_FN(clear_rest)(call);
}

#endif
