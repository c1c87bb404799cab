/* cf_linear where every lane holds the same sample: vectors run over the outputs, and each result
 * is written to all lanes.
 *
 * The sums are those of the other paths, bit for bit. Weights that are contiguous in the inputs are
 * transposed on their way to the multiply-adds: a dot product along them would be faster, and add
 * in another order. */
#ifndef CF_FN

#include "simd/matmul.h"

enum {
    ONE_SAMPLE_VECTORS = 4,
    ONE_SAMPLE_INPUTS = 4096, /* they are copied to the stack */
};

#define CF_BODY "simd/matmul_one_sample.c"
#include "simd/instantiate.h"

#else

#include "simd/matmul_block.h"
#include "simd/matmul_linear.h"
#include "simd/transpose.h"

/* Results of the outputs [o, o + count) to all lanes. */
CF_INLINE void CF_FN(repeat)(const cf_linear_args *a, vreal sum, size_t o, size_t count) {
    real y[VL];
    v_store(y, a->relu ? v_max(v_set1(0), sum) : sum);
    for (size_t i = 0; i < count; i++) {
        real *row = (real *)a->y + (o + i) * a->lanes;
        for (size_t lane = 0; lane < a->lanes; lane += VL)
            v_store(row + lane, v_set1(y[i]));
    }
}

/* `vectors` vectors of outputs from o on, where weights are contiguous in the outputs; of the last
 * vector only `count`. */
CF_INLINE void CF_FN(one_sample_columns)(const int vectors, const cf_linear_args *a, const real *x,
                                         size_t o, size_t count) {
    const real *w = (const real *)a->weight + o, *bias = a->bias;
    const int last = vectors - 1;
    vreal sum[ONE_SAMPLE_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        sum[v] = bias != NULL ? CF_FN(load_count)(bias + o + v * (int)VL, v < last ? VL : count)
                              : v_set1(0);
    for (size_t k = 0; k < a->inputs; k++, w += a->input_stride) {
        vreal xk = v_set1(x[k]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[v] = v_fma(CF_FN(load_count)(w + v * (int)VL, v < last ? VL : count), xk, sum[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        CF_FN(repeat)(a, sum[v], o + (size_t)v * VL, v < last ? VL : count);
}

/* Adds the products of the inputs [at, at + PART), but for the first `skipped` of them. */
CF_INLINE void CF_FN(one_sample_part)(const int vectors, size_t stride, const real *x,
                                      const real *(*row)[PARTS], size_t at, int skipped,
                                      vreal *sum) {
    vreal xk[PART];
#pragma GCC unroll 4
    for (int i = 0; i < PART; i++)
        xk[i] = v_set1(x[at + (size_t)i]);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        vreal w[PART];
#pragma GCC unroll 4
        for (int i = 0; i < PART; i++)
            w[i] = CF_FN(load_parts)(row[v], 1, at + (size_t)i * stride);
        CF_FN(transpose_parts)(w);
#pragma GCC unroll 4
        for (int i = 0; i < PART; i++)
            if (i >= skipped)
                sum[v] = v_fma(w[i], xk[i], sum[v]);
    }
}

/* `vectors` vectors of outputs from o on, where weights are contiguous in the inputs, at least PART
 * of them. */
CF_INLINE void CF_FN(one_sample_rows)(const int vectors, const cf_linear_args *a, const real *x,
                                      size_t o) {
    const real *bias = a->bias, *row[ONE_SAMPLE_VECTORS][PARTS];
    vreal sum[ONE_SAMPLE_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        size_t first = o + (size_t)v * VL;
        sum[v] = bias != NULL ? v_load(bias + first) : v_set1(0);
#pragma GCC unroll 4
        for (int q = 0; q < PARTS; q++)
            row[v][q] = (const real *)a->weight + (first + (size_t)(q * PART)) * a->output_stride;
    }
    const size_t stride = a->output_stride, inputs = a->inputs;
    size_t k = 0;
    for (; k + PART <= inputs; k += PART)
        CF_FN(one_sample_part)(vectors, stride, x, row, k, 0, sum);
    if (k < inputs) /* some inputs are loaded again */
        CF_FN(one_sample_part)
    (vectors, stride, x, row, inputs - PART, (int)(k + PART - inputs), sum);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        CF_FN(repeat)(a, sum[v], o + (size_t)v * VL, VL);
}

bool CF_FN(cf_linear_one_sample)(const cf_linear_args *a) {
    real x[ONE_SAMPLE_INPUTS];
    size_t o = 0;
    if (a->inputs > ONE_SAMPLE_INPUTS || a->begin != NULL || a->end != NULL)
        return false;
    for (size_t k = 0; k < a->inputs; k++)
        x[k] = ((const real *)a->x)[a->x_rows[k] * a->lanes];
    if (a->output_stride == 1) {
        for (; a->outputs - o >= ONE_SAMPLE_VECTORS * VL; o += ONE_SAMPLE_VECTORS * VL)
            CF_FN(one_sample_columns)(ONE_SAMPLE_VECTORS, a, x, o, VL);
        for (; o < a->outputs; o += VL)
            CF_FN(one_sample_columns)(1, a, x, o, a->outputs - o < VL ? a->outputs - o : VL);
    } else {
        if (a->outputs < VL || a->inputs < PART)
            return false;
        for (; a->outputs - o >= 2 * VL; o += 2 * VL)
            CF_FN(one_sample_rows)(2, a, x, o);
        /* The last vector may repeat some outputs. */
        for (; o < a->outputs; o += VL)
            CF_FN(one_sample_rows)(1, a, x, a->outputs - o < VL ? a->outputs - VL : o);
    }
    if (a->epilogue != NULL && a->outputs > 0)
        a->epilogue(a->epilogue_context, 0, a->outputs, 0, a->lanes);
    return true;
}

#endif
