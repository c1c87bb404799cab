/* x scale + shift or (x - shift) / scale with float64 buffers, computed in float64: shift at
 * integer[0], scale behind it; integer[1]: inverse; integer[2]: without the shift. */
#ifndef CF_FN

#include "ops/input.h"
#include "ops/rows.h"

#define CF_BODY "ops/fixed_affine.c"
#include "simd/instantiate.h"

static void fixed_affine_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                              const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_fixed_scale(b, dout, (size_t)node->attributes.integer[0],
                           node->attributes.integer[1] != 0);
}

static const cf_op fixed_affine_op = {
    .name = "fixed affine",
    .kernel = CF_VERSIONS(fixed_affine),
    .gradient = fixed_affine_rule,
};

static const cf_op log_det_op = {
    .name = "fixed affine log_det",
    .kernel = CF_VERSIONS(log_det),
};

static cf_value emit(cf_builder *b, cf_value x, size_t offset, bool inverse, bool no_shift) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_attributes attributes = {.integer = {(int64_t)offset, inverse, no_shift}};
    return cf_emit(b, &fixed_affine_op, CF_ROW, cf_value_size(b, x), 1, &x, CF_PARAMS(&attributes));
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
    if (node == NULL || node->op != &fixed_affine_op || node->attributes.integer[1] ||
        node->attributes.integer[2])
        return false;
    *operand = node->operand[0];
    *offset = (size_t)node->attributes.integer[0];
    return true;
}

cf_value cf_fixed_affine_log_det(cf_builder *b, size_t offset, size_t features) {
    cf_attributes attributes = {.integer = {(int64_t)offset, (int64_t)features}};
    return cf_emit(b, &log_det_op, CF_SHARED, 1, 0, NULL, CF_PARAMS(&attributes));
}

#else

#include "ops/rows.h"

static void CF_FN(fixed_affine)(const cf_call *call) {
    const cf_node *node = call->step->node;
    const int64_t *attributes = node->attributes.integer;
    const double *shift = call->run->buffers + attributes[0], *scale = shift + node->size;
    real *out = call->out;
    for (size_t f = 0; f < node->size; f++, out += call->lanes) {
        const real *x = cf_row(call, 0, f);
        double moved = attributes[2] ? 0.0 : shift[f];
        if (attributes[1])
            for (size_t lane = 0; lane < call->lanes; lane++)
                out[lane] = (real)((x[lane] - moved) / scale[f]);
        else
            for (size_t lane = 0; lane < call->lanes; lane++)
                out[lane] = (real)(x[lane] * scale[f] + moved);
    }
}

static void CF_FN(log_det)(const cf_call *call) {
    const int64_t *attributes = call->step->node->attributes.integer;
    const double *scale = call->run->buffers + attributes[0] + attributes[1];
    double sum = 0.0;
    for (int64_t f = 0; f < attributes[1]; f++)
        sum += log(fabs(scale[f]));
    *(real *)call->out = (real)sum;
}

#endif
