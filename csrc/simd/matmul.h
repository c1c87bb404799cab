/* The matrix kernels: everything that costs rows x weights goes through these three.
 *
 * A slice holds feature rows of `lanes` contiguous reals, one lane a sample; lanes is a multiple
 * of 16. Row k of an operand lies at base + rows[k] * step, so that views (masks, concatenations,
 * permutations) cost nothing; a step smaller than `lanes` makes rows that overlap, as those of a
 * convolution do, whose lanes are the pixels of a line of the image. No kernel allocates. Results
 * do not depend on `lanes`, nor on where in a tile a sample lies: each output of cf_linear is a
 * chain of fused multiply-adds over the inputs in ascending order, starting from the bias.
 */
#ifndef CF_SIMD_MATMUL_H
#define CF_SIMD_MATMUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simd/simd.h"

/* Applied to finished output rows while they are hot: rows [first, first + count) of the output,
 * their lanes [lane, lane + width) only. */
typedef void (*cf_epilogue)(const void *context, size_t first, size_t count, size_t lane,
                            size_t width);

/* A block-triangular mask: output o takes the inputs before end[o] only, which ascends with o;
 * input k goes to the outputs from first[k] on. The numbers of a matrix outside it are not read. */
typedef struct {
    size_t outputs, inputs;
    const uint32_t *end;   /* by output, at most `inputs` */
    const uint32_t *first; /* by input: the first o with end[o] > k, or `outputs` */
} cf_block_mask;

typedef struct {
    size_t outputs, inputs, lanes;
    const void *weight;                 /* w(o, k) = weight[o * output_stride + k * input_stride] */
    size_t output_stride, input_stride; /* one of them is 1 */
    const uint32_t *begin, *end; /* by output, ascending: its inputs from `begin` on alone, or */
                                 /* before `end` alone; one of them at most, or both NULL */
    const void *bias;            /* outputs reals, or NULL */
    const void *x;               /* base of the inputs */
    const uint32_t *x_rows;      /* inputs row numbers */
    void *y;                     /* outputs x lanes; overlaps no input */
    size_t x_step;               /* reals from row 0 of x to row 1, a power of two; 0: lanes */
    size_t y_step;               /* reals from an output to the next; 0: lanes */
    bool relu;                   /* y = max(y, 0) */
    cf_epilogue epilogue;        /* or NULL */
    const void *epilogue_context;
    bool one_sample; /* all lanes hold the same sample: a kernel may compute one and repeat it */
} cf_linear_args;

/* y[o][r] = sum_k w(o, k) x[k][r] + bias[o]. */
typedef void (*cf_linear_kernel)(const cf_linear_args *args);

typedef struct {
    size_t outputs, inputs, lanes;
    size_t slices, slice_bytes; /* how many there are; from one to the next of x and of dy */
    const void *dy, *x;
    const uint32_t *dy_rows, *x_rows; /* outputs and inputs row numbers */
    size_t step;                      /* reals from row 0 to row 1 of both; 0: lanes */
    void *dw;                         /* outputs x inputs, row-major */
    void *scratch;                    /* cf_outer_sum_scratch() bytes, aligned to CF_ALIGNMENT */
    bool accumulate;                  /* dw += rather than dw = */
    const cf_block_mask *mask;        /* outside of which dw is 0; or NULL */
} cf_outer_sum_args;

/* dw[o][k] (+)= sum_r dy[o][r] x[k][r] over the lanes r of all slices, in ascending order. */
typedef void (*cf_outer_sum_kernel)(const cf_outer_sum_args *args);

/* Bytes of scratch that cf_outer_sum needs. */
size_t cf_outer_sum_scratch(size_t outputs, size_t inputs, size_t lanes, cf_dtype dtype);

extern const cf_linear_kernel cf_linear[CF_SIMD_LEVELS][CF_DTYPES];
extern const cf_outer_sum_kernel cf_outer_sum[CF_SIMD_LEVELS][CF_DTYPES];

#endif
