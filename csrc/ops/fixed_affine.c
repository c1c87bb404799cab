/* x scale + shift or (x - shift) / scale with float64 buffers, computed in float64. */
#ifndef CF_FN

#include "ops/input.h"
#include "ops/feature_rows.h"

typedef struct {
    size_t offset; /* of the shifts; the scales are behind them */
    bool inverse, no_shift;
} fixed_affine_params;

typedef struct {
    size_t offset, features; /* of the same buffers */
} log_det_params;

#define CF_BODY "ops/fixed_affine.c"
#include "simd/instantiate.h"

static void fixed_affine_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                              const bool *needed, cf_value *dx) {
    const fixed_affine_params *p = node->params;
    (void)out;
    (void)needed;
    dx[0] = cf_fixed_scale(b, dout, p->offset, p->inverse);
}

static const cf_op fixed_affine_op = {
    .name = "fixed affine",
    .params = sizeof(fixed_affine_params),
    .kernel = CF_VERSIONS(fixed_affine),
    .gradient = fixed_affine_rule,
};

static const cf_op log_det_op = {
    .name = "fixed affine log_det",
    .params = sizeof(log_det_params),
    .kernel = CF_VERSIONS(log_det),
};

static cf_value emit(cf_builder *b, cf_value x, size_t offset, bool inverse, bool no_shift) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    fixed_affine_params params = {offset, inverse, no_shift};
    return cf_emit(b, &fixed_affine_op, CF_BATCHED, cf_value_size(b, x), 1, &x, CF_PARAMS(&params));
}

cf_value cf_fixed_affine(cf_builder *b, cf_value x, size_t offset, bool inverse) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (inverse) {
        cf_value loaded = cf_affine_input(b, x, offset);
        if (!cf_is_none(loaded))
            return loaded;
    }
    return emit(b, x, offset, inverse, false);
}

cf_value cf_fixed_scale(cf_builder *b, cf_value x, size_t offset, bool inverse) {
    return emit(b, x, offset, inverse, true);
}

bool cf_is_fixed_affine(const cf_builder *b, cf_value value, cf_value *operand, size_t *offset) {
    const cf_node *node = cf_whole_node(b, value);
    if (node == NULL || node->op != &fixed_affine_op)
        return false;
    const fixed_affine_params *p = node->params;
    if (p->inverse || p->no_shift)
        return false;
    *operand = node->operand[0];
    *offset = p->offset;
    return true;
}

cf_value cf_fixed_affine_log_det(cf_builder *b, size_t offset, size_t features) {
    log_det_params params = {offset, features};
    return cf_emit(b, &log_det_op, CF_UNBATCHED, 1, 0, NULL, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

static void CF_FN(fixed_affine)(const cf_call *call) {
    const cf_node *node = call->step->node;
    const fixed_affine_params *p = node->params;
    const double *shift = call->run->buffers + p->offset, *scale = shift + node->size;
    real *out = call->out;
    for (size_t f = 0; f < node->size; f++, out += call->lanes) {
        const real *x = cf_feature_row(call, 0, f);
        double moved = p->no_shift ? 0.0 : shift[f];
        if (p->inverse)
            for (size_t lane = 0; lane < call->lanes; lane++)
                out[lane] = (real)((x[lane] - moved) / scale[f]);
        else
            for (size_t lane = 0; lane < call->lanes; lane++)
                out[lane] = (real)(x[lane] * scale[f] + moved);
    }
}

static void CF_FN(log_det)(const cf_call *call) {
    const log_det_params *p = call->step->node->params;
    const double *scale = call->run->buffers + p->offset + p->features;
    double sum = 0.0;
    for (size_t f = 0; f < p->features; f++)
        sum += log(fabs(scale[f]));
    *(real *)call->out = (real)sum;
}

#endif
