#ifndef CF_FN

#include "simd/matmul.h"

#define CF_BODY "simd/matmul_linear.c"
#include "simd/instantiate.h"

const cf_linear_kernel cf_linear[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(linear);

#else

/* A register block: up to 6 outputs times FULL vectors of lanes, so that accumulators, inputs and a
 * weight fill the registers. */
#undef FULL
#if defined(CF_ON_AVX512) || defined(__aarch64__)
#define FULL 4
#else
#define FULL 2
#endif
#undef TALL
#define TALL (FULL == 4 ? 6 : 4)

/* `height` outputs from number `o` on, `vectors` vectors of lanes from `lane` on. Both are
 * constants where it is inlined. */
CF_INLINE void CF_FN(block)(const int height, const int vectors, const cf_linear_args *a,
                            size_t lane, size_t o) {
    const real *w = (const real *)a->weight + o * a->output_stride;
    const real *x = (const real *)a->x + lane, *bias = a->bias;
    real *y = (real *)a->y + o * a->lanes + lane;
    vreal sum[6][4];
#pragma GCC unroll 8
    for (int i = 0; i < height; i++)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++)
            sum[i][j] = v_set1(0);
    for (size_t k = 0; k < a->inputs; k++, w += a->input_stride) {
        const real *row = x + (size_t)a->x_rows[k] * a->lanes;
        vreal in[4];
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++)
            in[j] = v_load(row + j * (int)VL);
#pragma GCC unroll 8
        for (int i = 0; i < height; i++) {
            vreal factor = v_set1(w[(size_t)i * a->output_stride]);
#pragma GCC unroll 8
            for (int j = 0; j < vectors; j++)
                sum[i][j] = v_fma(factor, in[j], sum[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < height; i++) {
        vreal shift = v_set1(bias != NULL ? bias[o + (size_t)i] : 0);
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++)
            v_store(y + (size_t)i * a->lanes + j * (int)VL, sum[i][j] + shift);
    }
}

/* All outputs for `vectors` vectors of lanes. */
CF_INLINE void CF_FN(panel)(const int vectors, const cf_linear_args *a, size_t lane) {
    size_t o = 0, first = 0;
    while (o < a->outputs) {
        size_t left = a->outputs - o;
        if (left >= (size_t)TALL) {
            CF_FN(block)(TALL, vectors, a, lane, o);
            o += (size_t)TALL;
        } else if (left >= 2) {
            CF_FN(block)(2, vectors, a, lane, o);
            o += 2;
        } else {
            CF_FN(block)(1, vectors, a, lane, o);
            o++;
        }
        if (a->epilogue != NULL)
            a->epilogue(a->epilogue_context, first, o - first, lane, (size_t)vectors * VL);
        first = o;
    }
}

static void CF_FN(linear)(const cf_linear_args *a) {
    size_t lane = 0;
    for (; a->lanes - lane >= FULL * VL; lane += FULL * VL)
        CF_FN(panel)(FULL, a, lane);
    for (; lane < a->lanes; lane += VL)
        CF_FN(panel)(1, a, lane);
}

#endif
