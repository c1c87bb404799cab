#ifndef CF_FN

#include "simd/matmul.h"

enum {
    EPILOGUE_ROWS = 64, /* at most so many outputs are finished when the epilogue has its turn */
    ONE_ROW_VECTORS = 4,
    ONE_ROW_INPUTS = 4096, /* they are copied to the stack */
    FAR_BYTES = 1024, /* weights of one output that lie further apart than this fall out of the */
    FAR_INPUTS = 128, /* first-level cache and its TLB, unless a pass takes so many inputs only */
};

/* Reals of a cache line. */
#define LINE (64 / sizeof(real))

#define panel CF_FN(cf_panel)
#define panel_kernel CF_FN(cf_panel_kernel)

#define CF_BODY "simd/matmul_linear.c"
#include "simd/instantiate.h"

const cf_linear_kernel cf_linear[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(linear);

#else

#include "simd/matmul_block.h"
#include "simd/transpose.h"

#include "simd/matmul_one_row.h"

#ifndef PANEL_FORMS
#define PANEL_FORMS
/* Whether input_step or output_step is 1, and for the latter whether y holds sums already.
 * Constants where they are used: the compiler then finds the best addresses. */
enum {
    BY_INPUT,
    BY_OUTPUT,
    BY_OUTPUT_CONTINUED,
    STAIRS_BY_INPUT,
    STAIRS_BY_OUTPUT,
    STAIRS_BY_OUTPUT_CONTINUED
};
#define STAIRS(form) ((form) >= STAIRS_BY_INPUT)
#define IS_BY_INPUT(form) ((form) % STAIRS_BY_INPUT == BY_INPUT)
#define IS_CONTINUED(form) ((form) % STAIRS_BY_INPUT == BY_OUTPUT_CONTINUED)
#endif

/* All outputs for some vectors of lanes; x and y point at the first lane. */
typedef struct {
    const real *weight, *bias, *x;
    const uint32_t *x_rows, *begin, *end; /* the last two are NULL in the full forms */
    size_t before;                        /* inputs of earlier passes */
    real *y;
    size_t inputs, output_step, input_step, bias_step, y_step;
    int log_x_step;
    bool relu;
} panel;

/* Outputs [first, end) of a panel. */
typedef void (*panel_kernel)(const panel *given, size_t first, size_t end);

/* The limit of output o among the inputs of this pass; `limits` may be NULL. */
static inline size_t CF_FN(limit)(const panel *p, const uint32_t *limits, size_t o,
                                  size_t otherwise) {
    if (limits == NULL)
        return otherwise;
    size_t limit = limits[o] > p->before ? limits[o] - p->before : 0;
    return limit < p->inputs ? limit : p->inputs;
}

/* Adds the products of the inputs [k, stop), of which some outputs from o on take no part. */
CF_INLINE void CF_FN(add_stairs)(const int rows, const int vectors, block_sums sum,
                                 const real *const *w, size_t input_step, const panel *p, size_t o,
                                 size_t k, size_t stop) {
    for (; k < stop; k++) {
        real factor[MAX_BLOCK_ROWS];
        const real *factors[MAX_BLOCK_ROWS];
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            size_t row = o + (size_t)i;
            bool inside = k >= CF_FN(limit)(p, p->begin, row, 0) &&
                          k < CF_FN(limit)(p, p->end, row, p->inputs);
            factor[i] = inside ? w[i][k * input_step] : 0;
            factors[i] = &factor[i];
        }
        CF_FN(add_products)
        (rows, vectors, sum, factors, 0, p->x + ((size_t)p->x_rows[k] << p->log_x_step));
    }
}

/* Outputs [o, o + rows). */
CF_INLINE void CF_FN(block)(const int rows, const int vectors, const int form, const panel *p,
                            size_t o) {
    const size_t output_step = IS_BY_INPUT(form) ? p->output_step : 1;
    const size_t input_step = IS_BY_INPUT(form) ? 1 : p->input_step;
    const real *w[MAX_BLOCK_ROWS];
    real *y = p->y + o * p->y_step;
    block_sums sum;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        w[i] = p->weight + (o + (size_t)i) * output_step;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            size_t at = (size_t)i * p->y_step + (size_t)j * VL;
            sum[i][j] = IS_CONTINUED(form) ? v_load(y + at)
                                           : v_set1(p->bias[(o + (size_t)i) * p->bias_step]);
            if (!IS_CONTINUED(form))
                CF_FN(prefetch)(y, at); /* by the time of the sum's end */
        }
    }
#define INPUT(k)                                                                                   \
    CF_FN(add_products)                                                                            \
    (rows, vectors, sum, w, (k)*input_step, p->x + ((size_t)p->x_rows[k] << p->log_x_step))
    /* Weights come from afar: those of the next block are asked for in good time. */
    const real *ahead = IS_BY_INPUT(form) ? w[rows - 1] + output_step : w[0] + LINE;
    size_t k = 0, stop = p->inputs, end = stop;
    if (STAIRS(form)) { /* ascending limits: those of the first and the last row bound the others */
        size_t last = o + (size_t)rows - 1;
        size_t start = CF_FN(limit)(p, p->begin, o, 0);
        k = CF_FN(limit)(p, p->begin, last, 0);
        stop = CF_FN(limit)(p, p->end, o, stop);
        end = CF_FN(limit)(p, p->end, last, end);
        CF_FN(add_stairs)(rows, vectors, sum, w, input_step, p, o, start, k);
    }
    for (; k + 2 <= stop; k += 2) {
        INPUT(k);
        INPUT(k + 1);
        CF_FN(prefetch)(ahead, IS_BY_INPUT(form) ? k * (LINE / 2) : k * input_step);
        if (!IS_BY_INPUT(form))
            CF_FN(prefetch)(ahead, (k + 1) * input_step);
    }
    if (k < stop)
        INPUT(k);
#undef INPUT
    if (STAIRS(form))
        CF_FN(add_stairs)(rows, vectors, sum, w, input_step, p, o, stop, end);
    if (p->relu)
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++)
                sum[i][j] = v_max(v_set1(0), sum[i][j]);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            v_store(y + (size_t)i * p->y_step + j * (int)VL, sum[i][j]);
}

/* Blocks of one height. A copy of the panel, which no store can change, stays in registers. */
CF_INLINE void CF_FN(blocks)(const int rows, const int vectors, const int form, const panel *given,
                             size_t first, size_t end) {
    const panel p = *given;
    for (size_t o = first; o < end; o += (size_t)rows)
        CF_FN(block)(rows, vectors, form, &p, o);
}

CF_INLINE void CF_FN(outputs)(const int vectors, const int form, const panel *p, size_t first,
                              size_t end) {
    block_heights cut = cut_rows(end - first, BLOCK_ROWS(vectors));
    size_t rows = cut.height + 1, stop = first + cut.taller;
    for (int part = 0; part < 2; part++) {
#define BLOCKS(n) CF_FN(blocks)(n, vectors, form, p, first, stop)
        if (first < stop)
            WITH_BLOCK_ROWS(rows, vectors, BLOCKS)
#undef BLOCKS
        first = stop;
        stop = end;
        rows = cut.height;
    }
}

#define PANEL_KERNEL(name, vectors, form)                                                          \
    static void CF_FN(name)(const panel *p, size_t first, size_t end) {                            \
        CF_FN(outputs)(vectors, form, p, first, end);                                              \
    }
#define PANEL_KERNELS(name, vectors)                                                               \
    PANEL_KERNEL(name, vectors, BY_INPUT)                                                          \
    PANEL_KERNEL(name##_by_output, vectors, BY_OUTPUT)                                             \
    PANEL_KERNEL(name##_stairs, vectors, STAIRS_BY_INPUT)                                          \
    PANEL_KERNEL(name##_stairs_by_output, vectors, STAIRS_BY_OUTPUT)                               \
    static const panel_kernel CF_FN(name##_kernels)[] = {[BY_INPUT] = CF_FN(name),                 \
                                                         [BY_OUTPUT] = CF_FN(name##_by_output),    \
                                                         [STAIRS_BY_INPUT] = CF_FN(name##_stairs), \
                                                         [STAIRS_BY_OUTPUT] =                      \
                                                             CF_FN(name##_stairs_by_output)};
PANEL_KERNELS(full, BLOCK_VECTORS)
PANEL_KERNEL(full_continued, BLOCK_VECTORS, BY_OUTPUT_CONTINUED)
PANEL_KERNEL(full_stairs_continued, BLOCK_VECTORS, STAIRS_BY_OUTPUT_CONTINUED)
#ifdef CF_ON_AVX512
PANEL_KERNELS(pair, 2)
PANEL_KERNELS(single, 1)
#endif
#undef PANEL_KERNELS
#undef PANEL_KERNEL

/* All outputs, in parts that the epilogue finds in the first-level cache. */
static void CF_FN(pass)(const cf_linear_args *a, const panel *p, panel_kernel kernel,
                        cf_epilogue epilogue, size_t lane, size_t width) {
    size_t parts = (a->outputs + EPILOGUE_ROWS - 1) / EPILOGUE_ROWS;
    for (size_t i = 0; i < parts; i++) {
        size_t first = a->outputs * i / parts, end = a->outputs * (i + 1) / parts;
        kernel(p, first, end);
        if (epilogue != NULL)
            epilogue(a->epilogue_context, first, end - first, lane, width);
    }
}

/* Lanes [lane, lane + width). `continued` is for the second and later passes, or NULL if there
 * shall be one only. */
static void CF_FN(run_panel)(const cf_linear_args *a, panel_kernel kernel, panel_kernel continued,
                             size_t lane, size_t width) {
    static const real zero;
    panel p = {.weight = a->weight,
               .bias = a->bias != NULL ? a->bias : &zero,
               .x = (const real *)a->x + lane,
               .x_rows = a->x_rows,
               .begin = a->begin,
               .end = a->end,
               .y = (real *)a->y + lane,
               .output_step = a->output_stride,
               .input_step = a->input_stride,
               .bias_step = a->bias != NULL,
               .y_step = a->y_step > 0 ? a->y_step : a->lanes,
               .log_x_step = __builtin_ctzll(a->x_step > 0 ? a->x_step : a->lanes)};
    bool far = continued != NULL && a->input_stride * sizeof(real) > FAR_BYTES;
    size_t passes = far ? (a->inputs + FAR_INPUTS / 2) / FAR_INPUTS : 1, left = a->inputs;
    for (; passes > 1; passes--) {
        p.inputs = left / passes;
        CF_FN(pass)(a, &p, kernel, NULL, lane, width);
        p.weight += p.inputs * p.input_step;
        p.x_rows += p.inputs;
        p.before += p.inputs;
        left -= p.inputs;
        kernel = continued;
    }
    p.inputs = left;
    p.relu = a->relu;
    CF_FN(pass)(a, &p, kernel, a->epilogue, lane, width);
}

static void CF_FN(linear)(const cf_linear_args *a) {
    if (a->one_row && CF_FN(one_row)(a))
        return;
    bool by_output = a->input_stride != 1, stairs = a->begin != NULL || a->end != NULL;
    int form = (stairs ? STAIRS_BY_INPUT : BY_INPUT) + (by_output ? BY_OUTPUT : BY_INPUT);
    panel_kernel continued = stairs ? CF_FN(full_stairs_continued) : CF_FN(full_continued);
    size_t lane = 0, width = BLOCK_VECTORS * VL;
    for (; a->lanes - lane >= width; lane += width)
        CF_FN(run_panel)(a, CF_FN(full_kernels)[form], by_output ? continued : NULL, lane, width);
#ifdef CF_ON_AVX512
    for (; a->lanes - lane >= 2 * VL; lane += 2 * VL)
        CF_FN(run_panel)(a, CF_FN(pair_kernels)[form], NULL, lane, 2 * VL);
    for (; lane < a->lanes; lane += VL)
        CF_FN(run_panel)(a, CF_FN(single_kernels)[form], NULL, lane, VL);
#endif
}

#endif
