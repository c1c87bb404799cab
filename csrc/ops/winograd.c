/* The convolution of conv.c with kernels of 3 x 3, by 4 products a pixel instead of 9: F(2 x 2, 3 x
 * 3) of Winograd (Lavin and Gray 2016, arXiv:1509.09308, section 4.1). A tile of 2 x 2 outputs is
 * A' M A with M = the sum over channels of (G w G') . (B' d B), element by element, where d are the
 * 4 x 4 pixels of the channel that the tile reads. Each of the 16 elements is a product of
 * matrices, outputs x channels and channels x tiles: a plane of what follows.
 *
 *     B' = 1  0 -1  0    G = 1    0   0      A' = 1 1  1  0
 *          0  1  1  0        1/2  1/2 1/2         0 1 -1 -1
 *          0 -1  1  0        1/2 -1/2 1/2
 *          0  1  0 -1        0    0   1
 *
 * Operands image, G w G' [16, outputs, channels], the bias if there is one, and w, which stands
 * there for the gradient alone. */
#ifndef CF_FN

#include "base/memory.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/feature_rows.h"
#include "simd/matmul.h"

enum {
    PLANES = 16,
    TAPS = 9,
    TRANSFORM_PRODUCTS = 10 /* that take as long as a number of a plane, measured */
};

/* The lanes of a tile or of neighbouring tiles that go through the matrix kernel at a time: their
 * plane stays in the first-level cache. */
enum { LANES = 64, MAX_TILES = 4 }; /* a pixel has 16 lanes or more */

static size_t tiles_at_once(size_t lanes) {
    return lanes < LANES ? LANES / lanes : 1;
}

/* Reals from a plane of `rows` rows to the next: planes must not fall into the same sets of a
 * cache. */
static size_t plane_step(size_t rows, size_t lanes) {
    return rows * tiles_at_once(lanes) * lanes + CF_ALIGNMENT / sizeof(float);
}

/* The planes of pixels and of sums, a row of zeros, and the numbers of the rows of a plane. */
static size_t scratch(const cf_node *node, size_t lanes, cf_dtype dtype) {
    const cf_conv_params *p = node->params;
    size_t channels = p->shape.channels, outputs = cf_conv_outputs(node);
    size_t reals = PLANES * (plane_step(channels, lanes) + plane_step(outputs, lanes)) + lanes;
    return reals * cf_dtype_size(dtype) + channels * sizeof(uint32_t);
}

#define CF_BODY "ops/winograd.c"
#include "simd/instantiate.h"

static const cf_op kernel_op = {
    .name = "winograd kernel",
    .kernel = CF_VERSIONS(transform_kernel),
};

static const cf_op winograd_op = {
    .name = "winograd",
    .flags = CF_OP_EPILOGUE | CF_OP_PIXELS | CF_OP_LAST_UNREAD,
    .params = sizeof(cf_conv_params),
    .kernel = CF_VERSIONS(winograd),
    .gradient = cf_conv_rule,
    .scratch = scratch,
};

bool cf_winograd_pays(cf_shape shape, size_t outputs, size_t kernel) {
    size_t tiles = ((shape.height + 1) / 2) * ((shape.width + 1) / 2);
    size_t products = shape.channels * outputs, transformed = shape.channels + outputs;
    return kernel == 3 && PLANES * tiles * (products + TRANSFORM_PRODUCTS * transformed) <
                              TAPS * cf_pixels(shape) * products;
}

cf_value cf_winograd(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs,
                     const cf_conv_params *params) {
    size_t matrix = outputs * params->shape.channels, count = 0;
    cf_value operands[4] = {x};
    operands[++count] =
        cf_emit(b, &kernel_op, CF_UNBATCHED, PLANES * matrix, 1, &weight, CF_NO_PARAMS);
    if (!cf_is_none(bias))
        operands[++count] = bias;
    operands[++count] = weight;
    return cf_emit(b, &winograd_op, CF_BATCHED, outputs * cf_pixels(params->shape), count + 1,
                   operands, CF_PARAMS(params));
}

#else

#include "ops/feature_rows.h"

/* G w G' of VL outputs or channels: 9 vectors to 16. */
CF_INLINE void CF_FN(transform_taps)(const vreal *w, vreal *out) {
    const vreal half = v_set1((real)0.5);
    vreal g[4][3];
    for (int j = 0; j < 3; j++) {
        vreal ends = (w[j] + w[6 + j]) * half, middle = w[3 + j] * half;
        g[0][j] = w[j];
        g[1][j] = ends + middle;
        g[2][j] = ends - middle;
        g[3][j] = w[6 + j];
    }
    for (int i = 0; i < 4; i++) {
        vreal ends = (g[i][0] + g[i][2]) * half, middle = g[i][1] * half;
        out[4 * i] = g[i][0];
        out[4 * i + 1] = ends + middle;
        out[4 * i + 2] = ends - middle;
        out[4 * i + 3] = g[i][2];
    }
}

static void CF_FN(transform_kernel)(const cf_call *call) {
    size_t matrix = call->step->out_size / PLANES; /* outputs times channels */
    const real *weight = cf_operand_base(call, 0);
    real *out = call->out;
    for (size_t first = 0; first < matrix; first += VL, weight += TAPS * VL) {
        size_t count = matrix - first < VL ? matrix - first : VL;
        real taps[TAPS][VL] = {{0}};
        vreal in[TAPS], planes[PLANES];
        for (size_t i = 0; i < count; i++)
            for (size_t tap = 0; tap < TAPS; tap++)
                taps[tap][i] = weight[i * TAPS + tap];
        for (size_t tap = 0; tap < TAPS; tap++)
            in[tap] = v_load(taps[tap]);
        CF_FN(transform_taps)(in, planes);
        for (size_t k = 0; k < PLANES; k++)
            cf_store_lanes(out + k * matrix, planes[k], first, matrix);
    }
}

/* B' d B. */
CF_INLINE void CF_FN(transform_pixels)(const vreal *d, vreal *out) {
    vreal t[4][4];
    for (int j = 0; j < 4; j++) {
        t[0][j] = d[j] - d[8 + j];
        t[1][j] = d[4 + j] + d[8 + j];
        t[2][j] = d[8 + j] - d[4 + j];
        t[3][j] = d[4 + j] - d[12 + j];
    }
    for (int i = 0; i < 4; i++) {
        out[4 * i] = t[i][0] - t[i][2];
        out[4 * i + 1] = t[i][1] + t[i][2];
        out[4 * i + 2] = t[i][2] - t[i][1];
        out[4 * i + 3] = t[i][1] - t[i][3];
    }
}

/* A' m A, 2 x 2. */
CF_INLINE void CF_FN(transform_sums)(const vreal *m, vreal *out) {
    vreal p[2][4];
    for (int j = 0; j < 4; j++) {
        p[0][j] = m[j] + m[4 + j] + m[8 + j];
        p[1][j] = m[4 + j] - m[8 + j] - m[12 + j];
    }
    for (int i = 0; i < 2; i++) {
        out[2 * i] = p[i][0] + p[i][1] + p[i][2];
        out[2 * i + 1] = p[i][1] - p[i][2] - p[i][3];
    }
}

typedef struct {
    const cf_call *call;
    cf_shape shape;
    size_t outputs;
    size_t tiles, across;       /* all, and those in a line of them */
    size_t step;                /* reals from a row of a plane to the next */
    size_t in_plane, out_plane; /* and from a plane to the next */
    real *in, *out, *zeros;
    uint32_t *rows;
    const real *bias; /* or NULL */
    bool relu;
} CF_FN(planes);

static CF_FN(planes) CF_FN(new_planes)(const cf_call *call) {
    const cf_step *step = call->step;
    const cf_conv_params *conv = step->node->params;
    cf_shape shape = conv->shape;
    CF_FN(planes) p = {.call = call, .shape = shape, .outputs = cf_conv_outputs(step->node)};
    p.across = (shape.width + 1) / 2;
    p.tiles = p.across * ((shape.height + 1) / 2);
    p.step = tiles_at_once(call->lanes) * call->lanes;
    p.in_plane = plane_step(shape.channels, call->lanes);
    p.out_plane = plane_step(p.outputs, call->lanes);
    p.in = call->scratch;
    p.out = p.in + PLANES * p.in_plane;
    p.zeros = p.out + PLANES * p.out_plane;
    p.rows = (uint32_t *)(p.zeros + call->lanes);
    p.bias = step->node->operands > 3 ? cf_operand_base(call, 2) : NULL;
    p.relu = cf_relu_follows(step);
    memset(p.zeros, 0, call->lanes * sizeof(real));
    for (size_t c = 0; c < shape.channels; c++)
        p.rows[c] = (uint32_t)c;
    return p;
}

/* Where tile t reads: pixels of 4 x 4, or -1 outside of the image. */
static void CF_FN(find_pixels)(const CF_FN(planes) * p, size_t t, int64_t *pixel) {
    size_t top = t / p->across * 2, left = t % p->across * 2;
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            size_t y = top + i, x = left + j; /* of the image with a border of one pixel */
            bool inside = y >= 1 && y <= p->shape.height && x >= 1 && x <= p->shape.width;
            pixel[4 * i + j] = inside ? (int64_t)((y - 1) * p->shape.width + x - 1) : -1;
        }
}

/* One channel of a tile, to `out` and the same position in the other planes. */
CF_INLINE void CF_FN(load_channel)(const CF_FN(planes) * p, size_t c, const int64_t *pixel,
                                   real *out) {
    const size_t lanes = p->call->lanes, step = p->in_plane;
    const uint32_t *rows = p->call->step->operand[0].feature_rows + c * cf_pixels(p->shape);
    const real *image = cf_operand_base(p->call, 0), *zeros = p->zeros, *row[PLANES];
#pragma GCC unroll 16
    for (size_t k = 0; k < PLANES; k++)
        row[k] = pixel[k] < 0 ? zeros : image + rows[pixel[k]] * lanes;
    for (size_t lane = 0; lane < lanes; lane += VL) {
        vreal d[PLANES], v[PLANES];
#pragma GCC unroll 16
        for (size_t k = 0; k < PLANES; k++)
            d[k] = v_load(row[k] + lane);
        CF_FN(transform_pixels)(d, v);
#pragma GCC unroll 16
        for (size_t k = 0; k < PLANES; k++)
            v_store(out + k * step + lane, v[k]);
    }
}

/* The pixels of channel c that a tile is the first to read, if tiles are taken in order. */
CF_INLINE void CF_FN(prefetch_channel)(const CF_FN(planes) * p, size_t c, const int64_t *pixel) {
    static const int new_pixels[] = {10, 11, 14, 15};
    for (size_t i = 0; i < 4; i++) {
        int64_t at = pixel[new_pixels[i]];
        if (at >= 0)
            __builtin_prefetch(cf_feature_row(p->call, 0, c * cf_pixels(p->shape) + (size_t)at), 0,
                               2);
    }
}

/* Tiles [t, t + count) into the planes. */
static void CF_FN(load_tiles)(const CF_FN(planes) * p, size_t t, size_t count) {
    size_t lanes = p->call->lanes, left = p->tiles - t - count;
    size_t ahead = left < count ? left : count;
    int64_t pixel[2 * MAX_TILES][PLANES];
    for (size_t i = 0; i < count + ahead; i++)
        CF_FN(find_pixels)(p, t + i, pixel[i]);
    for (size_t c = 0; c < p->shape.channels; c++) {
        for (size_t i = 0; i < count; i++)
            CF_FN(load_channel)(p, c, pixel[i], p->in + c * p->step + i * lanes);
        for (size_t i = 0; i < ahead; i++)
            CF_FN(prefetch_channel)(p, c, pixel[count + i]);
    }
}

/* The outputs of tile t. */
static void CF_FN(store_tile)(const CF_FN(planes) * p, size_t t, size_t column) {
    size_t lanes = p->call->lanes, height = p->shape.height, width = p->shape.width;
    size_t top = t / p->across * 2, left = t % p->across * 2;
    size_t tall = height - top < 2 ? 1 : 2, wide = width - left < 2 ? 1 : 2;
    for (size_t o = 0; o < p->outputs; o++) {
        const real *sums = p->out + o * p->step + column * lanes;
        real *out = (real *)p->call->out + ((o * height + top) * width + left) * lanes;
        vreal shift = v_set1(p->bias == NULL ? 0 : p->bias[o]);
        for (size_t lane = 0; lane < lanes; lane += VL) {
            vreal m[PLANES], y[4];
            for (size_t k = 0; k < PLANES; k++)
                m[k] = v_load(sums + k * p->out_plane + lane);
            CF_FN(transform_sums)(m, y);
            for (size_t i = 0; i < tall; i++)
                for (size_t j = 0; j < wide; j++) {
                    vreal value = y[2 * i + j] + shift;
                    v_store(out + (i * width + j) * lanes + lane,
                            p->relu ? v_max(v_set1(0), value) : value);
                }
        }
    }
}

static void CF_FN(multiply_planes)(const CF_FN(planes) * p, size_t tiles) {
    const real *weight = cf_operand_base(p->call, 1);
    cf_linear_args args = {.outputs = p->outputs,
                           .inputs = p->shape.channels,
                           .lanes = tiles * p->call->lanes,
                           .output_stride = p->shape.channels,
                           .input_stride = 1,
                           .x_rows = p->rows,
                           .x_step = p->step,
                           .y_step = p->step};
    for (size_t k = 0; k < PLANES; k++) {
        args.weight = weight + k * p->outputs * p->shape.channels;
        args.x = p->in + k * p->in_plane;
        args.y = p->out + k * p->out_plane;
        cf_linear[p->call->level][p->call->dtype](&args);
    }
}

/* The epilogue of lines [first, end), which are finished. */
static void CF_FN(finish_lines)(const CF_FN(planes) * p, size_t first, size_t end) {
    size_t height = p->shape.height, width = p->shape.width;
    for (size_t o = 0; o < p->outputs && first < end; o++)
        cf_run_epilogue(p->call, (o * height + first) * width, (end - first) * width, 0,
                        p->call->lanes);
}

static void CF_FN(winograd)(const cf_call *call) {
    CF_FN(planes) p = CF_FN(new_planes)(call);
    size_t block = tiles_at_once(call->lanes), finished = 0;
    for (size_t t = 0, count; t < p.tiles; t += count) {
        count = p.tiles - t < block ? p.tiles - t : block;
        CF_FN(load_tiles)(&p, t, count);
        CF_FN(multiply_planes)(&p, count);
        for (size_t i = 0; i < count; i++)
            CF_FN(store_tile)(&p, t + i, i);
        size_t lines = (t + count) / p.across * 2;
        lines = lines < p.shape.height ? lines : p.shape.height;
        if (call->step->epilogue != NULL && !p.relu)
            CF_FN(finish_lines)(&p, finished, lines);
        finished = lines;
    }
}

#endif
