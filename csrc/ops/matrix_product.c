/* x y of two unbatched matrices. */
#ifndef CF_FN

#include "ops/feature_rows.h"

typedef struct {
    size_t rows, inner, columns;
} matrix_product_params;

#define CF_BODY "ops/matrix_product.c"
#include "simd/instantiate.h"

static void matrix_product_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                const bool *needed, cf_value *dx) {
    const matrix_product_params *p = node->params;
    cf_value x = node->operand[0], y = node->operand[1];
    (void)out;
    if (needed[0])
        dx[0] =
            cf_matrix_product(b, dout, cf_transpose(b, y, p->inner), p->rows, p->columns, p->inner);
    if (needed[1])
        dx[1] =
            cf_matrix_product(b, cf_transpose(b, x, p->rows), dout, p->inner, p->rows, p->columns);
}

static const cf_op matrix_product_op = {
    .name = "matrix product",
    .params = sizeof(matrix_product_params),
    .kernel = CF_VERSIONS(matrix_product),
    .gradient = matrix_product_rule,
};

cf_value cf_matrix_product(cf_builder *b, cf_value x, cf_value y, size_t rows, size_t inner,
                           size_t columns) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_value_size(b, x) != rows * inner || cf_value_size(b, y) != inner * columns)
        return cf_builder_fail(b, CF_INVALID, "a product of matrices of %zu and %zu numbers",
                               cf_value_size(b, x), cf_value_size(b, y));
    cf_value operands[2] = {cf_contiguous(b, x), cf_contiguous(b, y)};
    matrix_product_params params = {rows, inner, columns};
    return cf_emit(b, &matrix_product_op, CF_UNBATCHED, rows * columns, 2, operands,
                   CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

static void CF_FN(matrix_product)(const cf_call *call) {
    const matrix_product_params *p = call->step->node->params;
    const real *x = cf_operand_base(call, 0), *y = cf_operand_base(call, 1);
    real *out = call->out;
    for (size_t i = 0; i < p->rows; i++)
        for (size_t j = 0; j < p->columns; j += VL) {
            vreal sum = v_set1(0);
            for (size_t k = 0; k < p->inner; k++)
                sum = v_fma(v_set1(x[i * p->inner + k]),
                            cf_load_lanes(y + k * p->columns, j, p->columns), sum);
            cf_store_lanes(out + i * p->columns, sum, j, p->columns);
        }
}

#endif
