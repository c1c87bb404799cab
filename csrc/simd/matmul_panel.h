/* Panels of cf_linear: all outputs for some vectors of lanes, in blocks of sums that stay in
 * registers. Included by the bodies of simd/matmul_linear.c, simd/matmul_by_output.c and
 * simd/matmul_narrow.c. */
#include "simd/matmul_block.h"

#ifndef CF_SIMD_MATMUL_PANEL_H
#define CF_SIMD_MATMUL_PANEL_H

#include "simd/matmul.h"

enum {
    EPILOGUE_ROWS = 64, /* at most so many outputs are finished when the epilogue has its turn */
    FEW_INPUTS = 16,    /* they are added output by output */
    FAR_BYTES = 1024,   /* weights of one output that lie further apart than this fall out of the */
    FAR_INPUTS = 128,   /* first-level cache and its TLB, unless a pass takes so many inputs only */
};

/* Whether input_step or output_step is 1. A constant where it is used: the compiler then finds the
 * best addresses. */
enum { BY_INPUT, BY_OUTPUT };

/* What a block adds to its sums: the products of the inputs [first, end). */
typedef struct {
    size_t first, end;
    int continued, relu; /* of how many outputs, the first ones, y holds sums already; of how many
                            it becomes max(y, 0) */
} block_range;

/* Reals of a cache line. */
#define LINE (64 / sizeof(real))

#define panel CF_FN(cf_panel)
#define panel_kernel CF_FN(cf_panel_kernel)

/* The panel kernel `name` of weights in that form. */
#define PANEL_KERNEL(name, vectors, form)                                                          \
    static void CF_FN(name##_edge)(const panel *p, size_t first, size_t end) {                     \
        if (p->begin != NULL)                                                                      \
            CF_FN(begin_block)(vectors, p, first, end);                                            \
        else                                                                                       \
            CF_FN(end_block)(vectors, p, first, end);                                              \
    }                                                                                              \
    static void CF_FN(name)(const panel *p, size_t first, size_t end) {                            \
        CF_FN(outputs)(vectors, form, CF_FN(name##_edge), p, first, end);                          \
    }

#endif

typedef struct panel panel;

/* Outputs [first, end) of a panel. */
typedef void (*panel_kernel)(const panel *given, size_t first, size_t end);

/* All outputs for some vectors of lanes; x and y point at the first lane. */
struct panel {
    panel_kernel kernel;
    const real *weight, *bias, *x;
    const uint32_t *x_rows, *begin, *end;
    size_t before; /* inputs of earlier passes */
    real *y;
    size_t inputs, output_step, input_step, bias_step, y_step;
    int log_x_step;
    bool continued, relu; /* y holds sums already; y = max(y, 0) */
};

/* A limit among the inputs of this pass. */
static inline size_t CF_FN(limit)(const panel *p, uint32_t limit) {
    size_t inside = limit > p->before ? limit - p->before : 0;
    return inside < p->inputs ? inside : p->inputs;
}

/* Adds the inputs [k, stop) to what y holds of the outputs [first, end), at most a block. */
static void CF_FN(add_inputs)(const panel *given, size_t first, size_t end, size_t k, size_t stop) {
    panel p = *given;
    p.weight += k * p.input_step;
    p.x_rows += k;
    p.begin = p.end = NULL;
    p.inputs = stop - k;
    p.continued = true;
    p.relu = false;
    p.kernel(&p, first, end);
}

/* Adds the inputs [k, stop) to the sums of one output, without the cost of a block. */
CF_INLINE void CF_FN(add_few_inputs)(const int vectors, const panel *p, size_t o, size_t k,
                                     size_t stop, bool continued, bool relu) {
    const real *w = p->weight + o * p->output_step, *x = p->x;
    const uint32_t *x_rows = p->x_rows;
    const size_t input_step = p->input_step;
    const int log_x_step = p->log_x_step;
    real *y = p->y + o * p->y_step;
    vreal sum[BLOCK_VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
        sum[j] = continued ? v_load(y + j * (int)VL) : v_set1(p->bias[o * p->bias_step]);
    for (; k < stop; k++) {
        const real *column = x + ((size_t)x_rows[k] << log_x_step);
        vreal factor = v_set1(w[k * input_step]);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            sum[j] = v_fma(factor, v_load(column + j * (int)VL), sum[j]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
        v_store(y + j * (int)VL, relu ? v_max(v_set1(0), sum[j]) : sum[j]);
}

/* Before a block whose outputs begin at different inputs: those before the first that all of them
 * take, of the outputs [first, end) that have such. */
CF_INLINE void CF_FN(begin_block)(const int vectors, const panel *p, size_t first, size_t end) {
    size_t k = CF_FN(limit)(p, p->begin[first]), stop = CF_FN(limit)(p, p->begin[end]);
    if (stop - k <= FEW_INPUTS) {
        for (size_t o = first; o < end; o++)
            CF_FN(add_few_inputs)
        (vectors, p, o, CF_FN(limit)(p, p->begin[o]), stop, p->continued, false);
        return;
    }
    for (size_t o = first; !p->continued && o < end; o++)
        for (int j = 0; j < vectors; j++)
            v_store(p->y + o * p->y_step + j * (int)VL, v_set1(p->bias[o * p->bias_step]));
    for (size_t o = first + 1; o <= end; o++) {
        size_t next = CF_FN(limit)(p, p->begin[o]);
        if (k < next)
            CF_FN(add_inputs)(p, first, o, k, next);
        k = next;
    }
}

/* After a block whose outputs end at different inputs: those from the last on that all of them
 * take, of the outputs [first, end) that have such. */
CF_INLINE void CF_FN(end_block)(const int vectors, const panel *p, size_t first, size_t end) {
    size_t k = CF_FN(limit)(p, p->end[first - 1]), stop = CF_FN(limit)(p, p->end[end - 1]);
    if (stop - k <= FEW_INPUTS) {
        for (size_t o = first; o < end; o++)
            CF_FN(add_few_inputs)(vectors, p, o, k, CF_FN(limit)(p, p->end[o]), true, p->relu);
        return;
    }
    for (size_t o = first; o < end; o++) {
        size_t next = CF_FN(limit)(p, p->end[o]);
        if (k < next)
            CF_FN(add_inputs)(p, o, end, k, next);
        k = next;
    }
    for (size_t o = first; p->relu && o < end; o++)
        for (int j = 0; j < vectors; j++) {
            real *y = p->y + o * p->y_step + j * (int)VL;
            v_store(y, v_max(v_set1(0), v_load(y)));
        }
}

/* Outputs [o, o + rows). */
CF_INLINE void CF_FN(block)(const int rows, const int vectors, const int form, const panel *p,
                            size_t o, block_range range) {
    const size_t output_step = form == BY_INPUT ? p->output_step : 1;
    const size_t input_step = form == BY_INPUT ? 1 : p->input_step;
    const size_t inputs = range.end - range.first;
    const uint32_t *x_rows = p->x_rows + range.first;
    const real *w[MAX_BLOCK_ROWS];
    real *y = p->y + o * p->y_step;
    block_sums sum;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        w[i] = p->weight + (o + (size_t)i) * output_step + range.first * input_step;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            size_t at = (size_t)i * p->y_step + (size_t)j * VL;
            sum[i][j] = v_set1(p->bias[(o + (size_t)i) * p->bias_step]);
            CF_FN(prefetch)(y, at); /* by the time of the sum's end */
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        if (i < range.continued)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++)
                sum[i][j] = v_load(y + (size_t)i * p->y_step + j * (int)VL);
#define INPUT(k)                                                                                   \
    CF_FN(add_products)                                                                            \
    (rows, vectors, sum, w, (k)*input_step, p->x + ((size_t)x_rows[k] << p->log_x_step))
    /* Weights come from afar: those of the next block are asked for in good time. */
    const real *ahead = form == BY_INPUT ? w[rows - 1] + output_step : w[0] + LINE;
    size_t k = 0;
    for (; k + 2 <= inputs; k += 2) {
        INPUT(k);
        INPUT(k + 1);
        CF_FN(prefetch)(ahead, form == BY_INPUT ? k * (LINE / 2) : k * input_step);
        if (form == BY_OUTPUT)
            CF_FN(prefetch)(ahead, (k + 1) * input_step);
    }
    if (k < inputs)
        INPUT(k);
#undef INPUT
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        if (i < range.relu)
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
CF_INLINE void CF_FN(blocks)(const int rows, const int vectors, const int form, panel_kernel edge,
                             const panel *given, size_t first, size_t end) {
    const panel p = *given;
    for (size_t o = first, stop; o < end; o = stop) {
        stop = o + (size_t)rows;
        block_range range = {0, p.inputs, p.continued ? rows : 0, p.relu ? rows : 0};
        size_t apart = stop; /* the outputs from there on end later */
        if (p.begin != NULL) {
            size_t with_own = stop - 1; /* those before it begin earlier */
            range.first = CF_FN(limit)(&p, p.begin[with_own]);
            while (with_own > o && CF_FN(limit)(&p, p.begin[with_own - 1]) == range.first)
                with_own--;
            if (with_own > o) {
                edge(given, o, with_own);
                range.continued = p.continued ? rows : (int)(with_own - o);
            }
        } else if (p.end != NULL) {
            range.end = CF_FN(limit)(&p, p.end[o]);
            while (apart > o + 1 && CF_FN(limit)(&p, p.end[apart - 1]) > range.end)
                apart--;
            range.relu = p.relu ? (int)(apart - o) : 0;
        }
        CF_FN(block)(rows, vectors, form, &p, o, range);
        if (apart < stop)
            edge(given, apart, stop);
    }
}

CF_INLINE void CF_FN(outputs)(const int vectors, const int form, panel_kernel edge, const panel *p,
                              size_t first, size_t end) {
    block_heights cut = cut_rows(end - first, BLOCK_ROWS(vectors));
    size_t rows = cut.height + 1, stop = first + cut.taller;
    for (int part = 0; part < 2; part++) {
#define BLOCKS(n) CF_FN(blocks)(n, vectors, form, edge, p, first, stop)
        if (first < stop)
            WITH_BLOCK_ROWS(rows, vectors, BLOCKS)
#undef BLOCKS
        first = stop;
        stop = end;
        rows = cut.height;
    }
}

/* All outputs, in parts that the epilogue finds in the first-level cache. */
static void CF_FN(pass)(const cf_linear_args *a, const panel *p, cf_epilogue epilogue, size_t lane,
                        size_t width) {
    size_t parts = (a->outputs + EPILOGUE_ROWS - 1) / EPILOGUE_ROWS;
    for (size_t i = 0; i < parts; i++) {
        size_t first = a->outputs * i / parts, end = a->outputs * (i + 1) / parts;
        p->kernel(p, first, end);
        if (epilogue != NULL)
            epilogue(a->epilogue_context, first, end - first, lane, width);
    }
}

/* Lanes [lane, lane + width). */
static void CF_FN(run_panel)(const cf_linear_args *a, panel_kernel kernel, size_t lane,
                             size_t width) {
    static const real zero;
    panel p = {.kernel = kernel,
               .weight = a->weight,
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
    bool far = a->input_stride * sizeof(real) > FAR_BYTES;
    size_t passes = far ? (a->inputs + FAR_INPUTS / 2) / FAR_INPUTS : 1, left = a->inputs;
    for (; passes > 1; passes--) {
        p.inputs = left / passes;
        CF_FN(pass)(a, &p, NULL, lane, width);
        p.weight += p.inputs * p.input_step;
        p.x_rows += p.inputs;
        p.before += p.inputs;
        left -= p.inputs;
        p.continued = true;
    }
    p.inputs = left;
    p.relu = a->relu;
    CF_FN(pass)(a, &p, a->epilogue, lane, width);
}

/* All full panels. */
static inline void CF_FN(run_full_panels)(const cf_linear_args *a, panel_kernel kernel) {
    size_t width = BLOCK_VECTORS * VL;
    for (size_t lane = 0; a->lanes - lane >= width; lane += width)
        CF_FN(run_panel)(a, kernel, lane, width);
}
