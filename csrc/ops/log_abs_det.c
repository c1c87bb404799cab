/* log|det A| of a small matrix a sample, row after row, by elimination with partial pivoting; and
 * the inverse, transposed, which is its gradient. */
#ifndef CF_FN

#include "base/memory.h"
#include "ops/feature_rows.h"

#define CF_BODY "ops/log_abs_det.c"
#include "simd/instantiate.h"

/* ---- the gradient ---- */

/* x y of two matrices a sample of n rows, as sums of n^3 products: for gradients of gradients. */
static cf_value product(cf_builder *b, cf_value x, cf_value y, size_t n) {
    int64_t *left, *right;
    size_t size = n * n * n;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&left, 2 * size, sizeof *left) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a product of matrices");
    right = left + size;
    for (size_t i = 0; i < size; i++) {
        left[i] = (int64_t)(i / (n * n) * n + i % n);
        right[i] = (int64_t)(i % n * n + i / n % n);
    }
    cf_value products = cf_multiply(b, cf_select(b, x, left, size), cf_select(b, y, right, size));
    cf_free(left);
    return cf_sum_groups(b, products, n * n);
}

/* Of Y = A^-T: dA = -Y dY^T Y. */
static void inverse_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                         const bool *needed, cf_value *dx) {
    size_t n = cf_order_of_square(node->size);
    (void)needed;
    cf_value left = product(b, out, cf_transpose(b, dout, n), n);
    dx[0] = cf_scale_shift(b, product(b, left, out, n), -1.0, 0.0);
}

/* A vector, of 64 bytes at most, for each number. */
static size_t matrix_scratch(const cf_node *node, size_t lanes, cf_dtype dtype) {
    (void)lanes;
    (void)dtype;
    return node->operand_size[0] * 64;
}

static size_t inverse_scratch(const cf_node *node, size_t lanes, cf_dtype dtype) {
    return 2 * matrix_scratch(node, lanes, dtype);
}

static const cf_op inverse_op = {
    .name = "log_abs_det gradient",
    .kernel = CF_VERSIONS(inverse_transposed),
    .gradient = inverse_rule,
    .scratch = inverse_scratch,
};

static void log_abs_det_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    size_t size = node->operand_size[0];
    (void)out;
    (void)needed;
    cf_value inverse = cf_emit(b, &inverse_op, CF_BATCHED, size, 1, node->operand, CF_NO_PARAMS);
    dx[0] = cf_multiply(b, inverse, dout);
}

/* ---- the value ---- */

static const cf_op log_abs_det_op = {
    .name = "log_abs_det",
    .kernel = CF_VERSIONS(log_abs_det),
    .gradient = log_abs_det_rule,
    .scratch = matrix_scratch,
};

cf_value cf_log_abs_det(cf_builder *b, cf_value matrix) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t size = cf_value_size(b, matrix), n = cf_order_of_square(size);
    if (n * n != size || n == 0)
        return cf_builder_fail(b, CF_INVALID, "a square matrix of %zu numbers", size);
    matrix = cf_broadcast(b, matrix);
    return cf_emit(b, &log_abs_det_op, CF_BATCHED, 1, 1, &matrix, CF_NO_PARAMS);
}

#else

#include "ops/feature_rows.h"
#include "simd/math.h"

/* Brings the largest number of column k, from row k on, into row k, in every lane: rows are of
 * `width` vectors, of which those before k are done with. */
static void CF_FN(pivot)(real *a, size_t n, size_t width, size_t k) {
    real *row = a + k * width * VL;
    for (size_t i = k + 1; i < n; i++) {
        real *other = a + i * width * VL;
        vmask larger = v_lt(v_abs(v_load(row + k * VL)), v_abs(v_load(other + k * VL)));
        if (!v_any(larger))
            continue;
        for (size_t j = k * VL; j < width * VL; j += VL) {
            vreal x = v_load(row + j), y = v_load(other + j);
            v_store(row + j, v_select(larger, y, x));
            v_store(other + j, v_select(larger, x, y));
        }
    }
}

/* Row i less so many times row k that column k of it is 0; a column of zeros stays. */
static void CF_FN(eliminate)(real *a, size_t width, size_t k, size_t i) {
    const real *row = a + k * width * VL;
    real *other = a + i * width * VL;
    vreal zero = v_set1(0), top = v_load(row + k * VL);
    vreal factor = v_select(v_eq(top, zero), zero, v_load(other + k * VL) / top);
    for (size_t j = (k + 1) * VL; j < width * VL; j += VL)
        v_store(other + j, v_load(other + j) - factor * v_load(row + j));
}

/* The matrices of the lanes from `lane` on into rows of `width` vectors. */
static void CF_FN(load_matrix)(const cf_call *call, real *a, size_t n, size_t width, size_t lane) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            v_store(a + (i * width + j) * VL,
                    cf_load_lanes(cf_feature_row(call, 0, i * n + j), lane, call->lanes));
}

static void CF_FN(log_abs_det)(const cf_call *call) {
    size_t n = cf_order_of_square(call->step->operand[0].size);
    real *a = call->scratch;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal sum = v_set1(0);
        CF_FN(load_matrix)(call, a, n, n, lane);
        for (size_t k = 0; k < n; k++) {
            CF_FN(pivot)(a, n, n, k);
            for (size_t i = k + 1; i < n; i++)
                CF_FN(eliminate)(a, n, k, i);
            sum = sum + v_log(v_abs(v_load(a + k * (n + 1) * VL)));
        }
        cf_store_lanes((real *)call->out, sum, lane, call->lanes);
    }
}

/* Gauss and Jordan's elimination of A beside the identity. */
static void CF_FN(invert_rows)(real *a, size_t n) {
    size_t width = 2 * n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            v_store(a + (i * width + n + j) * VL, v_set1(i == j));
    for (size_t k = 0; k < n; k++) {
        real *row = a + k * width * VL;
        CF_FN(pivot)(a, n, width, k);
        for (size_t i = 0; i < n; i++)
            if (i != k)
                CF_FN(eliminate)(a, width, k, i);
        vreal top = v_load(row + k * VL);
        for (size_t j = (k + 1) * VL; j < width * VL; j += VL)
            v_store(row + j, v_load(row + j) / top);
    }
}

static void CF_FN(inverse_transposed)(const cf_call *call) {
    size_t n = cf_order_of_square(call->step->operand[0].size), lanes = call->lanes;
    real *a = call->scratch, *out = call->out;
    for (size_t lane = 0; lane < lanes; lane += VL) {
        CF_FN(load_matrix)(call, a, n, 2 * n, lane);
        CF_FN(invert_rows)(a, n);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                cf_store_lanes(out + (j * n + i) * lanes, v_load(a + ((2 * i + 1) * n + j) * VL),
                               lane, lanes);
    }
}

#endif
