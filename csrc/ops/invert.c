/* The inverse of an unbatched square matrix, and log|det| behind it: operand matrix, n^2 numbers;
 * n^2 numbers of the inverse, the logarithm, and n that the elimination needs. The gradient is that
 * of the logarithm alone: products with the inverse go through cf_solve. */
#ifndef CF_FN

#include "ops/feature_rows.h"

#define CF_BODY "ops/invert.c"
#include "simd/instantiate.h"

/* The gradient of log|det W| is Y = W^-T, with operands the inverse and W: dY = -Y dW^T Y. */
static void slope_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    size_t n = cf_order_of_square(node->size);
    (void)needed; /* the inverse is a function of W, and has its share there */
    cf_value product = cf_matrix_product(b, out, cf_transpose(b, dout, n), n, n, n);
    dx[1] = cf_scale_shift(b, cf_matrix_product(b, product, out, n, n, n), -1.0, 0.0);
}

static const cf_op slope_op = {
    .name = "invert gradient",
    .flags = CF_OP_LAST_UNREAD,
    .kernel = CF_VERSIONS(transpose),
    .gradient = slope_rule,
};

static cf_value slope(cf_builder *b, cf_value inverse, cf_value matrix) {
    return cf_emit(b, &slope_op, CF_UNBATCHED, cf_value_size(b, matrix), 2,
                   (cf_value[]){inverse, matrix}, CF_NO_PARAMS);
}

/* d log|det W| / dW = W^-T. */
static void invert_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    size_t size = node->operand_size[0];
    (void)needed;
    dx[0] = cf_multiply(b, slope(b, cf_slice(b, out, 0, size), node->operand[0]),
                        cf_slice(b, dout, size, 1));
}

static const cf_op invert_op = {
    .name = "invert",
    .kernel = CF_VERSIONS(invert),
    .gradient = invert_rule,
};

cf_value cf_invert(cf_builder *b, cf_value matrix, cf_value *log_abs_det) {
    *log_abs_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t size = cf_value_size(b, matrix), n = cf_order_of_square(size);
    if (n * n != size)
        return cf_builder_fail(b, CF_INVALID, "a square matrix of %zu numbers", size);
    matrix = cf_contiguous(b, matrix);
    cf_value both = cf_emit(b, &invert_op, CF_UNBATCHED, size + 1 + n, 1, &matrix, CF_NO_PARAMS);
    *log_abs_det = cf_slice(b, both, size, 1);
    return cf_slice(b, both, 0, size);
}

#else

#include "ops/feature_rows.h"

static size_t CF_FN(largest_in_column)(const real *a, size_t n, size_t column) {
    size_t best = column;
    for (size_t i = column + 1; i < n; i++)
        if (fabs((double)a[i * n + column]) > fabs((double)a[best * n + column]))
            best = i;
    return best;
}

static void CF_FN(swap)(real *x, real *y, size_t count, size_t step) {
    for (size_t i = 0; i < count; i++) {
        real kept = x[i * step];
        x[i * step] = y[i * step];
        y[i * step] = kept;
    }
}

/* One step of the Gauss-Jordan elimination in place. */
static void CF_FN(eliminate)(real *a, size_t n, size_t k) {
    real pivot = a[k * n + k];
    a[k * n + k] = 1;
    for (size_t j = 0; j < n; j++)
        a[k * n + j] /= pivot;
    for (size_t i = 0; i < n; i++) {
        if (i == k)
            continue;
        real factor = a[i * n + k];
        a[i * n + k] = 0;
        for (size_t j = 0; j < n; j++)
            a[i * n + j] -= factor * a[k * n + j];
    }
}

/* A singular matrix gives log|det| = -inf and an inverse that is not finite. */
static void CF_FN(invert)(const cf_call *call) {
    size_t size = call->step->node->operand_size[0], n = cf_order_of_square(size);
    real *a = call->out, *rows = a + size + 1;
    double log_abs_det = 0.0;
    memcpy(a, cf_operand_base(call, 0), size * sizeof *a);
    for (size_t k = 0; k < n; k++) {
        size_t row = CF_FN(largest_in_column)(a, n, k);
        rows[k] = (real)row;
        if (row != k)
            CF_FN(swap)(a + k * n, a + row * n, n, 1);
        log_abs_det += log(fabs((double)a[k * n + k]));
        CF_FN(eliminate)(a, n, k);
    }
    for (size_t k = n; k-- > 0;)
        if ((size_t)rows[k] != k)
            CF_FN(swap)(a + k, a + (size_t)rows[k], n, n);
    a[size] = (real)log_abs_det;
}

static void CF_FN(transpose)(const cf_call *call) {
    size_t n = cf_order_of_square(call->step->out_size);
    const real *matrix = cf_operand_base(call, 0);
    real *out = call->out;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            out[i * n + j] = matrix[j * n + i];
}

#endif
