/* The quintic iteration of Jordan 2024, Muon: an optimizer for hidden layers in neural networks. */
#ifndef CF_FN

#include "train/optimizers/newton_schulz.h"

#include <string.h>

#include "base/memory.h"
#include "simd/matmul.h"

#define CF_BODY "train/optimizers/newton_schulz.c"

enum { LANES = 16 }; /* the unit in which the matrix kernels take rows */

static const double FIRST = 3.4445, THIRD = -4.7750, FIFTH = 2.0315;

typedef void (*combine_kernel)(const cf_newton_schulz *n);

#include "simd/instantiate.h"

static const combine_kernel combine_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(combine);

static size_t padded(size_t count, size_t unit) {
    return (count + unit - 1) / unit * unit;
}

/* The next `bytes` of scratch, or with NULL only their count. */
static void *carve(char *scratch, size_t *used, size_t bytes) {
    void *part = scratch == NULL ? NULL : scratch + *used;
    *used += padded(bytes, CF_ALIGNMENT);
    return part;
}

/* Returns the bytes taken. */
static size_t lay_out(cf_newton_schulz *n, size_t rows, size_t columns, cf_dtype dtype,
                      char *scratch) {
    size_t used = 0, element = cf_dtype_size(dtype);
    *n = (cf_newton_schulz){.dtype = dtype,
                            .rows = rows,
                            .columns = columns,
                            .step = padded(columns, LANES),
                            .gram_step = padded(rows, LANES)};
    n->x = carve(scratch, &used, (rows + 1) * n->step * element); /* the last row stays 0 */
    n->next = carve(scratch, &used, (rows + 1) * n->step * element);
    n->gram = carve(scratch, &used, rows * n->gram_step * element);
    n->polynomial = carve(scratch, &used, rows * n->gram_step * element);
    n->x_rows = carve(scratch, &used, rows * sizeof *n->x_rows);
    n->gram_rows = carve(scratch, &used, rows * sizeof *n->gram_rows);
    n->row_numbers = carve(scratch, &used, n->gram_step * sizeof *n->row_numbers);
    n->outer_scratch =
        carve(scratch, &used, cf_outer_sum_scratch(rows, n->gram_step, n->step, dtype));
    return used;
}

size_t cf_newton_schulz_bytes(size_t rows, size_t columns, cf_dtype dtype) {
    cf_newton_schulz n;
    return lay_out(&n, rows, columns, dtype, NULL);
}

void cf_newton_schulz_begin(cf_newton_schulz *n, size_t rows, size_t columns, cf_dtype dtype,
                            void *scratch) {
    lay_out(n, rows, columns, dtype, scratch);
    memset(n->x, 0, (rows + 1) * n->step * cf_dtype_size(dtype));
    for (size_t i = 0; i < rows; i++) {
        n->x_rows[i] = (uint32_t)(i * (n->step / LANES));
        n->gram_rows[i] = (uint32_t)(i * (n->gram_step / LANES));
    }
    for (size_t i = 0; i < n->gram_step; i++)
        n->row_numbers[i] = (uint32_t)(i < rows ? i : rows);
}

/* gram = X X^T, with columns of zeros at the end. */
static void square_rows(const cf_newton_schulz *n, cf_simd_level level) {
    cf_outer_sum[level][n->dtype](&(cf_outer_sum_args){.outputs = n->rows,
                                                       .inputs = n->gram_step,
                                                       .lanes = n->step,
                                                       .slices = 1,
                                                       .dy = n->x,
                                                       .x = n->x,
                                                       .dy_rows = n->row_numbers,
                                                       .x_rows = n->row_numbers,
                                                       .dw = n->gram,
                                                       .scratch = n->outer_scratch});
}

/* y = A x, A being gram or polynomial, and x and y rows of `step` numbers. */
static void multiply(const cf_newton_schulz *n, cf_simd_level level, const void *a, const void *x,
                     const uint32_t *x_rows, size_t step, void *y) {
    cf_linear[level][n->dtype](&(cf_linear_args){.outputs = n->rows,
                                                 .inputs = n->rows,
                                                 .lanes = step,
                                                 .weight = a,
                                                 .output_stride = n->gram_step,
                                                 .input_stride = 1,
                                                 .x = x,
                                                 .x_rows = x_rows,
                                                 .x_step = LANES,
                                                 .y = y});
}

void cf_newton_schulz_run(cf_newton_schulz *n, int64_t iterations) {
    cf_simd_level level = cf_simd();
    size_t row_bytes = n->step * cf_dtype_size(n->dtype);
    memset((char *)n->next + n->rows * row_bytes, 0, row_bytes);
    for (; iterations > 0; iterations--) {
        square_rows(n, level);
        multiply(n, level, n->gram, n->gram, n->gram_rows, n->gram_step, n->polynomial);
        combine_kernels[level][n->dtype](n);
        multiply(n, level, n->polynomial, n->x, n->x_rows, n->step, n->next);
        void *swapped = n->x;
        n->x = n->next;
        n->next = swapped;
    }
}

#else

/* polynomial = a I + b gram + c gram^2, where it holds gram^2 before. */
static void CF_FN(combine)(const cf_newton_schulz *n) {
    const real *gram = n->gram;
    real *polynomial = n->polynomial;
    for (size_t i = 0; i < n->rows * n->gram_step; i += VL) {
        vreal fifth = v_load(polynomial + i) * v_set1((real)FIFTH);
        v_store(polynomial + i, v_fma(v_load(gram + i), v_set1((real)THIRD), fifth));
    }
    for (size_t i = 0; i < n->rows; i++)
        polynomial[i * n->gram_step + i] += (real)FIRST;
}

#endif
