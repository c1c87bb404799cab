#ifndef CF_FN

#include "simd/matmul.h"

enum { WIDEST = 16 }; /* elements of the widest vector: columns of the scratch are whole vectors */

static size_t padded_inputs(size_t inputs) {
    return (inputs + WIDEST - 1) / WIDEST * WIDEST;
}

#define CF_BODY "simd/matmul_outer.c"
#include "simd/instantiate.h"

const cf_outer_sum_kernel cf_outer_sum[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(outer_sum);

size_t cf_outer_sum_scratch(size_t outputs, size_t inputs, size_t lanes, cf_dtype dtype) {
    (void)outputs;
    return padded_inputs(inputs) * lanes * cf_dtype_size(dtype);
}

#else

#undef TALL
#define TALL 4

/* scratch[r][k] = x[k][r], zero beyond the last input. */
static void CF_FN(transpose)(const cf_outer_sum_args *a, size_t stride) {
    real *to = a->scratch;
    for (size_t r = 0; r < a->lanes; r++)
        for (size_t k = a->inputs; k < stride; k++)
            to[r * stride + k] = 0;
    for (size_t k = 0; k < a->inputs; k++) {
        const real *row = (const real *)a->x + (size_t)a->x_rows[k] * a->lanes;
        for (size_t r = 0; r < a->lanes; r++)
            to[r * stride + k] = row[r];
    }
}

/* `height` rows of dw from `o` on, one vector of columns from `k` on. */
CF_INLINE void CF_FN(block)(const int height, const cf_outer_sum_args *a, size_t stride, size_t o,
                            size_t k) {
    const real *x = (const real *)a->scratch + k;
    const real *dy[TALL];
    vreal sum[TALL];
    size_t left = a->inputs - k;
#pragma GCC unroll 8
    for (int i = 0; i < height; i++) {
        dy[i] = (const real *)a->dy + (size_t)a->dy_rows[o + (size_t)i] * a->lanes;
        sum[i] = v_set1(0);
    }
    for (size_t r = 0; r < a->lanes; r++) {
        vreal in = v_load(x + r * stride);
#pragma GCC unroll 8
        for (int i = 0; i < height; i++)
            sum[i] = v_fma(v_set1(dy[i][r]), in, sum[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < height; i++) {
        real *dw = (real *)a->dw + (o + (size_t)i) * a->inputs + k;
        if (left >= VL)
            v_store(dw, a->accumulate ? v_load(dw) + sum[i] : sum[i]);
        else
            v_store_n(dw, a->accumulate ? v_load_n(dw, left) + sum[i] : sum[i], left);
    }
}

static void CF_FN(outer_sum)(const cf_outer_sum_args *a) {
    size_t stride = padded_inputs(a->inputs);
    CF_FN(transpose)(a, stride);
    for (size_t k = 0; k < a->inputs; k += VL) {
        size_t o = 0;
        for (; o + TALL <= a->outputs; o += TALL)
            CF_FN(block)(TALL, a, stride, o, k);
        for (; o < a->outputs; o++)
            CF_FN(block)(1, a, stride, o, k);
    }
}

#endif
