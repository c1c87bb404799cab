#ifndef CF_FN

#include "simd/matmul.h"

enum {
    /* A row of a panel: the widest panel, and so much that neighbours in a column do not lie a
     * power of two apart, where loads would wait for stores that look alike. */
    PANEL_ROW_BYTES = 4 * 64 + 32,
};

#define CF_BODY "simd/matmul_outer.c"
#include "simd/instantiate.h"

const cf_outer_sum_kernel cf_outer_sum[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(outer_sum);

size_t cf_outer_sum_scratch(size_t outputs, size_t inputs, size_t lanes, cf_dtype dtype) {
    (void)outputs;
    (void)inputs;
    (void)dtype;
    return lanes * PANEL_ROW_BYTES;
}

#else

#include "simd/matmul_block.h"
#include "simd/matmul_outer.h"
#include "simd/transpose.h"

#undef PANEL_STEP
#define PANEL_STEP (PANEL_ROW_BYTES / sizeof(real))
#define panel CF_FN(cf_outer_panel)

/* Columns [k, k + columns) of one slice's x, transposed. */
typedef struct {
    const cf_outer_sum_args *args;
    size_t k, columns, slice;
    const real *x; /* [lanes][PANEL_STEP] */
    bool add;      /* to what dw holds */
} panel;

static void CF_FN(transpose_panel)(const panel *p, real *out) {
    const cf_outer_sum_args *a = p->args;
    for (size_t first = 0; first < p->columns; first += VL, out += VL) {
        const real *row[VL];
#pragma GCC unroll 16
        for (size_t i = 0; i < VL; i++) {
            /* Beyond the last column, that one again. */
            size_t column = first + i < p->columns ? first + i : p->columns - 1;
            row[i] = CF_FN(row_at)(a, a->x, p->slice, a->x_rows[p->k + column]);
        }
        CF_FN(transpose_rows)(row, a->lanes, out, PANEL_STEP);
    }
}

/* dw[o ... o + rows) of the panel's columns. */
CF_INLINE void CF_FN(panel_block)(const int rows, const int vectors, const panel *p, size_t o) {
    const cf_outer_sum_args *a = p->args;
    const size_t last = p->columns - (size_t)(vectors - 1) * VL;
    const real *dy[MAX_BLOCK_ROWS], *x = p->x;
    real *dw = (real *)a->dw + o * a->inputs + p->k;
    block_sums sum;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        dy[i] = CF_FN(row_at)(a, a->dy, p->slice, a->dy_rows[o + (size_t)i]);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            sum[i][j] = v_set1(0);
            CF_FN(prefetch)(dw, (size_t)i * a->inputs + j * VL); /* for the end of the sums */
        }
    }
    for (size_t r = 0; r < a->lanes; r += 2, x += 2 * PANEL_STEP) {
        CF_FN(add_products)(rows, vectors, sum, dy, r, x);
        CF_FN(add_products)(rows, vectors, sum, dy, r + 1, x + PANEL_STEP);
    }
    /* All loads before the stores: a load must wait for a masked store that it overlaps. */
    if (p->add)
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++)
                sum[i][j] += CF_FN(load_count)(dw + (size_t)i * a->inputs + j * (int)VL,
                                               j < vectors - 1 ? VL : last);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            CF_FN(store_count)
    (dw + (size_t)i * a->inputs + j * (int)VL, sum[i][j], j < vectors - 1 ? VL : last);
}

CF_INLINE void CF_FN(panel_blocks)(const int rows, const int vectors, const panel *given,
                                   size_t first, size_t end) {
    const panel p = *given;
    for (size_t o = first; o < end; o += (size_t)rows)
        CF_FN(panel_block)(rows, vectors, &p, o);
}

CF_INLINE void CF_FN(panel_rows)(const int vectors, const panel *p) {
    const size_t outputs = p->args->outputs;
    size_t first = CF_FN(first_output)(p->args, p->k);
    if (first == outputs)
        return;
    block_heights cut = cut_rows(outputs - first, BLOCK_ROWS(vectors));
    size_t rows = cut.height + 1, stop = first + cut.taller;
    for (int part = 0; part < 2; part++) {
#define BLOCKS(n) CF_FN(panel_blocks)(n, vectors, p, first, stop)
        if (first < stop)
            WITH_BLOCK_ROWS(rows, vectors, BLOCKS)
#undef BLOCKS
        first = stop;
        stop = outputs;
        rows = cut.height;
    }
}

static void CF_FN(panel_sums)(const panel *p) {
    switch ((p->columns + VL - 1) / VL) {
    case 1:
        CF_FN(panel_rows)(1, p);
        break;
    case 2:
        CF_FN(panel_rows)(2, p);
        break;
#if BLOCK_VECTORS == 4
    case 3:
        CF_FN(panel_rows)(3, p);
        break;
    case 4:
        CF_FN(panel_rows)(4, p);
        break;
#endif
    }
}

/* Columns [0, end). */
static void CF_FN(panels)(const cf_outer_sum_args *a, size_t end) {
    const size_t width = BLOCK_VECTORS * VL;
    panel p = {.args = a, .x = a->scratch};
    for (; p.k < end; p.k += width) {
        p.columns = end - p.k < width ? end - p.k : width;
        for (p.slice = 0; p.slice < a->slices; p.slice++) {
            p.add = a->accumulate || p.slice > 0;
            CF_FN(transpose_panel)(&p, a->scratch);
            CF_FN(panel_sums)(&p);
        }
    }
}

/* Whether dots beat panels for so many columns, by the count of vector instructions: measured, a
 * sum of lanes takes the time of 8 multiply-adds, a transposed part that of 2.5. */
static bool CF_FN(dots_pay)(const cf_outer_sum_args *a, size_t columns) {
    size_t vectors = (columns + VL - 1) / VL;
    size_t lanes = a->lanes * a->slices;
    size_t dots = a->outputs * columns * (lanes / VL + 8);
    return dots < lanes * (a->outputs * vectors + columns * 5 / (2 * PART));
}

/* Zeros outside the mask: blocks reach over its edge by less than a panel's width, and leave out
 * what lies further. */
static void CF_FN(clear_outside)(const cf_outer_sum_args *a) {
    for (size_t o = 0; o < a->outputs; o++) {
        size_t end = a->mask->end[o], stop = a->inputs;
        if (a->accumulate && stop - end > BLOCK_VECTORS * VL)
            stop = end + BLOCK_VECTORS * VL;
        memset((real *)a->dw + o * a->inputs + end, 0, (stop - end) * sizeof(real));
    }
}

static void CF_FN(outer_sum)(const cf_outer_sum_args *a) {
    size_t rest = a->inputs % VL, by_panels = a->inputs;
    if (a->outputs == 0)
        return;
    if (CF_FN(dots_pay)(a, a->inputs))
        by_panels = 0;
    else if (CF_FN(dots_pay)(a, rest))
        by_panels = a->inputs - rest;
    CF_FN(panels)(a, by_panels);
    CF_FN(cf_outer_sum_dots)(a, by_panels);
    if (a->mask != NULL)
        CF_FN(clear_outside)(a);
}

#endif
