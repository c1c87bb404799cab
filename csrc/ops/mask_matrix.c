/* An unbatched matrix with zeros outside a mask: operand matrix. */
#ifndef CF_FN

#include "ops/feature_rows.h"

typedef struct {
    size_t columns, row_size;
    const unsigned char *mask;
} mask_params;

#define CF_BODY "ops/mask_matrix.c"
#include "simd/instantiate.h"

static void mask_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    const mask_params *p = node->params;
    (void)out;
    if (needed[0])
        dx[0] = cf_mask_matrix(b, dout, p->columns, p->mask, p->row_size);
}

static const cf_op mask_op = {
    .name = "mask_matrix",
    .params = sizeof(mask_params),
    .kernel = CF_VERSIONS(mask),
    .gradient = mask_rule,
};

cf_value cf_mask_matrix(cf_builder *b, cf_value matrix, size_t columns, const unsigned char *mask,
                        size_t row_size) {
    if (mask == NULL || cf_builder_status(b) != CF_OK)
        return matrix;
    size_t size = cf_value_size(b, matrix);
    if (columns == 0 || size % columns != 0 || columns > row_size)
        return cf_builder_fail(b, CF_INVALID, "a mask of %zu columns, for %zu numbers", columns,
                               size);
    cf_value operand = cf_contiguous(b, matrix);
    mask_params params = {columns, row_size, mask};
    return cf_emit(b, &mask_op, CF_UNBATCHED, size, 1, &operand, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

static void CF_FN(mask)(const cf_call *call) {
    const cf_step *step = call->step;
    const mask_params *p = step->node->params;
    size_t rows = step->out_size / p->columns;
    const real *matrix = cf_operand_base(call, 0);
    real *out = call->out;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < p->columns; j++) {
            size_t k = i * p->columns + j;
            out[k] = p->mask[i * p->row_size + j] ? matrix[k] : 0;
        }
}

#endif
