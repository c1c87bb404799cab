/* The gradient of a convolution's weights: dw[o, c, i, j] = the sum over samples and pixels of
 * dy[o, y, x] image[c, y + i - k / 2, x + j - k / 2]; operands dy and the image. One of the two is
 * a cotangent, 0 in lanes beyond the last sample. */
#include <string.h>

#include "base/memory.h"
#include "ops/conv.h"
#include "ops/lines.h"
#include "simd/matmul.h"

/* The lanes that are done at a time, unless a pixel has more: their panel stays in the first-level
 * cache. */
enum { LANES = 64 };

static size_t outputs_of(const cf_node *node) {
    const cf_conv_params *p = node->params;
    return node->operand_size[0] / (p->shape.height * p->shape.width);
}

static void conv_outer_sum_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                const bool *needed, cf_value *dx) {
    const cf_conv_params *p = node->params;
    cf_shape shape = p->shape;
    size_t outputs = outputs_of(node), kernel = p->kernel;
    cf_shape dshape = {outputs, shape.height, shape.width};
    (void)out;
    if (needed[0])
        dx[0] = cf_conv(b, dout, CF_NO_VALUE, node->operand[1], shape, outputs, kernel);
    if (needed[1])
        dx[1] = cf_conv(b, cf_turn_kernel(b, dout, outputs, shape.channels, kernel), CF_NO_VALUE,
                        node->operand[0], dshape, shape.channels, kernel);
}

static size_t panel_lanes(size_t lanes) {
    return lanes > LANES ? lanes : LANES;
}

static size_t padded(size_t bytes) {
    return (bytes + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
}

/* The lines of the image, one line of dy with its row numbers, the panel of the matrix kernel. */
static size_t scratch(const cf_node *node, size_t lanes, cf_dtype dtype) {
    const cf_conv_params *p = node->params;
    size_t outputs = outputs_of(node);
    return cf_lines_scratch(p->shape, p->kernel, lanes, dtype) +
           padded(outputs * p->shape.width * lanes * cf_dtype_size(dtype)) +
           padded(outputs * sizeof(uint32_t)) +
           cf_outer_sum_scratch(outputs, node->size / outputs, panel_lanes(lanes), dtype);
}

/* Line y of dy: [outputs][width][lanes]. */
static void pack_cotangent(const cf_call *call, const char *base, size_t y, char *out) {
    const cf_conv_params *p = call->step->node->params;
    cf_shape shape = p->shape;
    size_t outputs = outputs_of(call->step->node), plane = shape.height * shape.width;
    size_t row_bytes = call->lanes * cf_dtype_size(call->dtype);
    for (size_t o = 0; o < outputs; o++) {
        const uint32_t *row = call->step->operand[0].feature_rows + o * plane + y * shape.width;
        for (size_t x = 0; x < shape.width; x++, out += row_bytes)
            memcpy(out, base + row[x] * row_bytes, row_bytes);
    }
}

/* Adds the products of one line, in pieces; dy and x begin with the line's first pixel. */
static void add_line(const cf_call *call, cf_outer_sum_args *args, const char *dy, const char *x) {
    const cf_conv_params *p = call->step->node->params;
    size_t width = p->shape.width;
    size_t max = panel_lanes(call->lanes) / call->lanes, pieces = (width + max - 1) / max;
    size_t row_bytes = call->lanes * cf_dtype_size(call->dtype);
    for (size_t i = 0; i < pieces; i++) {
        size_t first = width * i / pieces, end = width * (i + 1) / pieces;
        args->dy = dy + first * row_bytes;
        args->x = x + first * row_bytes;
        args->lanes = (end - first) * call->lanes;
        cf_outer_sum[call->level][call->dtype](args);
        args->accumulate = true;
    }
}

static void add_slice(const cf_call *call, cf_outer_sum_args *args, const char *base) {
    const cf_conv_params *p = call->step->node->params;
    cf_shape shape = p->shape;
    size_t outputs = args->outputs, width = shape.width, kernel = p->kernel;
    size_t row_bytes = call->lanes * cf_dtype_size(call->dtype);
    char *dy = (char *)call->scratch + cf_lines_scratch(shape, kernel, call->lanes, call->dtype);
    uint32_t *dy_rows = (uint32_t *)(dy + padded(outputs * width * row_bytes));
    bool direct = call->step->contiguous;
    cf_lines lines;
    for (size_t o = 0; o < outputs; o++)
        dy_rows[o] = direct ? call->step->operand[0].feature_rows[o * width * shape.height]
                            : (uint32_t)(o * width);
    args->dy_rows = dy_rows;
    args->scratch = (char *)dy_rows + padded(outputs * sizeof *dy_rows);
    cf_lines_start(&lines, call, 1, base, shape, kernel, call->scratch);
    for (size_t y = 0; y < shape.height; y++) {
        args->x_rows = cf_lines_load(&lines, y);
        if (!direct)
            pack_cotangent(call, base, y, dy);
        add_line(call, args, direct ? base + y * width * row_bytes : dy, lines.ring);
    }
}

static void conv_outer_sum(const cf_call *call) {
    const cf_node *node = call->step->node;
    cf_outer_sum_args args = {.outputs = outputs_of(node),
                              .inputs = node->size / outputs_of(node),
                              .slices = 1,
                              .step = call->lanes,
                              .dw = call->out,
                              .accumulate = call->accumulate};
    const char *base = call->base[CF_SPACE_TILE];
    for (size_t sample = 0; sample < call->samples;
         sample += call->lanes, base += call->slice_bytes)
        add_slice(call, &args, base);
}

static const cf_op conv_outer_sum_op = {
    .name = "conv_outer_sum",
    .flags = CF_OP_REDUCTION | CF_OP_PIXELS,
    .params = sizeof(cf_conv_params),
    .kernel = CF_ONE_VERSION(conv_outer_sum),
    .gradient = conv_outer_sum_rule,
    .scratch = scratch,
};

cf_value cf_conv_outer_sum(cf_builder *b, cf_value dy, cf_value x, cf_shape shape, size_t outputs,
                           size_t kernel) {
    cf_conv_params params = {shape, kernel};
    return cf_emit(b, &conv_outer_sum_op, CF_UNBATCHED, outputs * shape.channels * kernel * kernel,
                   2, (cf_value[]){dy, x}, CF_PARAMS(&params));
}
