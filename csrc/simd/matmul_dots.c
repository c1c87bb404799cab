/* cf_outer_sum where a transposition does not pay: each number of dw as a dot product along the
 * lanes, in blocks that load a row once for several products. */
#ifndef CF_FN

#include "simd/matmul.h"

enum { DOT_ROWS = 4 };

#define CF_BODY "simd/matmul_dots.c"
#include "simd/instantiate.h"

#else

#include "simd/matmul_block.h"
#include "simd/matmul_outer.h"
#include "simd/transpose.h"

/* total[i] = the sum of the lanes of a[i]; overwrites a. The number of sums is a multiple of PART.
 */
CF_INLINE void CF_FN(sum_lanes)(const int sums, vreal *a, real *total) {
#pragma GCC unroll 16
    for (int s = 0; s < sums; s += PART) {
        vreal *b = a + s, sum;
        part_vector part[PARTS];
        CF_FN(transpose_parts)(b);
        sum = b[0];
#pragma GCC unroll 4
        for (int i = 1; i < PART; i++)
            sum += b[i];
        memcpy(part, &sum, sizeof sum);
#pragma GCC unroll 4
        for (int q = 1; q < PARTS; q++)
            part[0] += part[q];
        memcpy(total + s, part, sizeof *part);
    }
}

/* Adds one slice's products to the sums, lane by lane. */
CF_INLINE void CF_FN(add_dots)(const int rows, const int columns, const cf_outer_sum_args *a,
                               size_t slice, size_t o, size_t k, vreal *sum) {
    const real *dy[DOT_ROWS], *x[BLOCK_VECTORS];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
        dy[i] = CF_FN(row_at)(a, a->dy, slice, a->dy_rows[o + (size_t)i]);
#pragma GCC unroll 4
    for (int j = 0; j < columns; j++)
        x[j] = CF_FN(row_at)(a, a->x, slice, a->x_rows[k + (size_t)j]);
    for (size_t lane = 0; lane < a->lanes; lane += VL) {
        vreal xs[BLOCK_VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < columns; j++)
            xs[j] = v_load(x[j] + lane);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            vreal d = v_load(dy[i] + lane);
#pragma GCC unroll 4
            for (int j = 0; j < columns; j++)
                sum[i * columns + j] = v_fma(d, xs[j], sum[i * columns + j]);
        }
    }
}

/* dw[o ...][k ...]: `rows` x `columns` of them. */
CF_INLINE void CF_FN(dot_block)(const int rows, const int columns, const cf_outer_sum_args *a,
                                size_t o, size_t k) {
    const int sums = (rows * columns + PART - 1) / PART * PART;
    vreal sum[DOT_ROWS * BLOCK_VECTORS];
    real total[DOT_ROWS * BLOCK_VECTORS];
#pragma GCC unroll 16
    for (int s = 0; s < sums; s++)
        sum[s] = v_set1(0);
    for (size_t slice = 0; slice < a->slices; slice++)
        CF_FN(add_dots)(rows, columns, a, slice, o, k, sum);
    CF_FN(sum_lanes)(sums, sum, total);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        real *dw = (real *)a->dw + (o + (size_t)i) * a->inputs + k;
#pragma GCC unroll 4
        for (int j = 0; j < columns; j++)
            dw[j] = a->accumulate ? dw[j] + total[i * columns + j] : total[i * columns + j];
    }
}

/* Columns from k on, as many as a block has. */
CF_INLINE void CF_FN(dot_columns)(const int columns, const cf_outer_sum_args *a, size_t k) {
    size_t o = CF_FN(first_output)(a, k);
    for (; a->outputs - o >= DOT_ROWS; o += DOT_ROWS)
        CF_FN(dot_block)(DOT_ROWS, columns, a, o, k);
    for (; a->outputs - o >= 2; o += 2)
        CF_FN(dot_block)(2, columns, a, o, k);
    if (o < a->outputs)
        CF_FN(dot_block)(1, columns, a, o, k);
}

void CF_FN(cf_outer_sum_dots)(const cf_outer_sum_args *a, size_t k) {
    for (; a->inputs - k >= BLOCK_VECTORS; k += BLOCK_VECTORS)
        CF_FN(dot_columns)(BLOCK_VECTORS, a, k);
    for (; BLOCK_VECTORS > 2 && a->inputs - k >= 2; k += 2)
        CF_FN(dot_columns)(2, a, k);
    if (k < a->inputs)
        CF_FN(dot_columns)(1, a, k);
}

#endif
