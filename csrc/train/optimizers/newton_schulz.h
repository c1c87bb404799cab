/* The nearest matrix with orthonormal rows, roughly: Newton-Schulz iterations. */
#ifndef CF_TRAIN_OPTIMIZERS_NEWTON_SCHULZ_H
#define CF_TRAIN_OPTIMIZERS_NEWTON_SCHULZ_H

#include <stdint.h>

#include "simd/simd.h"

/* Memory for a matrix X of rows <= columns, and for the iterations; all of it in scratch. */
typedef struct {
    cf_dtype dtype;
    size_t rows, columns;
    size_t step;      /* reals from a row of x to the next */
    void *x;          /* the matrix: rows of `step` numbers, zeros from `columns` on */
    void *next;       /* as large; before the first iteration the caller may use it */
    size_t gram_step; /* reals from a row of gram to the next */
    void *gram, *polynomial;
    uint32_t *x_rows, *gram_rows; /* where rows lie, in units of 16 numbers */
    uint32_t *row_numbers;        /* 0 ... rows - 1, then the number of a row of zeros */
    void *outer_scratch;
} cf_newton_schulz;

/* Bytes of scratch, which is aligned to CF_ALIGNMENT, for such a matrix. */
size_t cf_newton_schulz_bytes(size_t rows, size_t columns, cf_dtype dtype);

/* Lays it out, with zeros in x. */
void cf_newton_schulz_begin(cf_newton_schulz *out, size_t rows, size_t columns, cf_dtype dtype,
                            void *scratch);

/* Replaces X, whose Frobenius norm is at most 1, by `iterations` times
 *
 *     X = a X + b (X X^T) X + c (X X^T)^2 X,   (a, b, c) = (3.4445, -4.7750, 2.0315)
 *
 * which brings singular values that are not tiny to between 0.7 and 1.2 in 5 iterations. */
void cf_newton_schulz_run(cf_newton_schulz *n, int64_t iterations);

#endif
