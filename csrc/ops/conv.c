/* Convolution with zeros around the image (cross-correlation, as the field has it): out[o, y, x] =
 * bias[o] + sum over c, i, j of w[o, c, i, j] image[c, y + i - k / 2, x + j - k / 2]; operands
 * image, w [outputs, channels, k, k] and, if there is one, the bias. */
#include "ops/conv.h"

#include "base/memory.h"
#include "ops/elementwise.h"
#include "ops/lines.h"
#include "simd/matmul.h"

static size_t pixels(const cf_node *node) {
    const cf_conv_params *p = node->params;
    return cf_pixels(p->shape);
}

size_t cf_conv_outputs(const cf_node *node) {
    return node->size / pixels(node);
}

void cf_conv_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                  const bool *needed, cf_value *dx) {
    const cf_conv_params *p = node->params;
    bool winograd = node->op->flags & CF_OP_LAST_UNREAD;
    uint32_t read = node->operands - winograd, w = winograd ? read : 1;
    cf_value x = node->operand[0], weight = node->operand[w];
    cf_shape shape = p->shape;
    size_t outputs = cf_conv_outputs(node), kernel = p->kernel;
    cf_shape dshape = {outputs, shape.height, shape.width};
    (void)out;
    if (needed[0])
        dx[0] = cf_conv(b, cf_turn_kernel(b, weight, outputs, shape.channels, kernel), CF_NO_VALUE,
                        dout, dshape, shape.channels, kernel);
    if (needed[w])
        dx[w] = cf_conv_outer_sum(b, dout, x, shape, outputs, kernel);
    if (read > 2 && needed[2])
        dx[2] = cf_sum_samples(b, cf_sum_groups(b, dout, outputs));
}

static size_t conv_scratch(const cf_node *node, size_t lanes, cf_dtype dtype) {
    const cf_conv_params *p = node->params;
    return cf_lines_scratch(p->shape, p->kernel, lanes, dtype);
}

/* One call of the matrix kernel: from which pixel on. */
typedef struct {
    const cf_call *call;
    size_t pixels, first;
} piece;

/* cf_epilogue whose context is a piece: the lanes of an output are those of its pixels. */
static void epilogue(const void *context, size_t first, size_t count, size_t lane, size_t width) {
    const piece *p = context;
    size_t lanes = p->call->lanes;
    for (size_t o = first; o < first + count; o++) {
        size_t row = o * p->pixels + p->first + lane / lanes;
        if (width < lanes)
            cf_run_epilogue(p->call, row, 1, lane % lanes, width);
        else
            cf_run_epilogue(p->call, row, width / lanes, 0, lanes);
    }
}

static void run_piece(const cf_call *call, cf_linear_args *args, size_t first, size_t count) {
    const cf_node *node = call->step->node;
    piece p = {call, pixels(node), first};
    args->lanes = count * call->lanes;
    args->y = (char *)call->out + first * call->lanes * cf_dtype_size(call->dtype);
    args->epilogue_context = &p;
    cf_linear[call->level][call->dtype](args);
}

/* A kernel of one pixel on a contiguous image needs no copies of lines. */
static void conv_whole(const cf_call *call, cf_linear_args *args) {
    const cf_node *node = call->step->node;
    uint32_t *rows = call->scratch;
    for (size_t c = 0; c < args->inputs; c++)
        rows[c] = call->step->operand[0].feature_rows[c * pixels(node)];
    args->x = call->base[CF_SPACE_TILE];
    args->x_rows = rows;
    run_piece(call, args, 0, pixels(node));
}

static void conv_lines(const cf_call *call, cf_linear_args *args) {
    const cf_conv_params *p = call->step->node->params;
    cf_shape shape = p->shape;
    cf_lines lines;
    cf_lines_start(&lines, call, 0, call->base[CF_SPACE_TILE], shape, p->kernel, call->scratch);
    args->x = lines.ring;
    for (size_t y = 0; y < shape.height; y++) {
        args->x_rows = cf_lines_load(&lines, y);
        run_piece(call, args, y * shape.width, shape.width);
    }
}

static void conv(const cf_call *call) {
    const cf_step *step = call->step;
    const cf_node *node = step->node;
    const cf_conv_params *p = node->params;
    bool relu = cf_relu_follows(step);
    size_t inputs = p->shape.channels * p->kernel * p->kernel;
    cf_linear_args args = {.outputs = cf_conv_outputs(node),
                           .inputs = inputs,
                           .weight = cf_operand_base(call, 1),
                           .output_stride = inputs,
                           .input_stride = 1,
                           .bias = node->operands > 2 ? cf_operand_base(call, 2) : NULL,
                           .x_step = call->lanes,
                           .y_step = pixels(node) * call->lanes,
                           .relu = relu,
                           .epilogue = step->epilogue != NULL && !relu ? epilogue : NULL};
    if (p->kernel == 1 && step->contiguous)
        conv_whole(call, &args);
    else
        conv_lines(call, &args);
}

static const cf_op conv_op = {
    .name = "conv",
    .flags = CF_OP_EPILOGUE | CF_OP_PIXELS,
    .params = sizeof(cf_conv_params),
    .kernel = CF_ONE_VERSION(conv),
    .gradient = cf_conv_rule,
    .scratch = conv_scratch,
};

cf_value cf_conv(cf_builder *b, cf_value weight, cf_value bias, cf_value x, cf_shape shape,
                 size_t outputs, size_t kernel) {
    size_t plane = shape.height * shape.width;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (kernel % 2 == 0)
        return cf_builder_fail(b, CF_INVALID, "a kernel of a convolution must be odd, got %zu",
                               kernel);
    if (cf_value_size(b, x) != shape.channels * plane ||
        cf_value_size(b, weight) != outputs * shape.channels * kernel * kernel ||
        (!cf_is_none(bias) && cf_value_size(b, bias) != outputs))
        return cf_builder_fail(b, CF_INVALID,
                               "%zu weights of size %zu do not take %zu features, an image of "
                               "%zu x %zu x %zu, to %zu channels",
                               cf_value_size(b, weight), kernel, cf_value_size(b, x),
                               shape.channels, shape.height, shape.width, outputs);
    cf_value operands[3] = {x, cf_contiguous(b, weight), CF_NO_VALUE};
    if (!cf_is_none(bias))
        operands[2] = cf_contiguous(b, bias);
    cf_conv_params params = {shape, kernel};
    if (cf_winograd_pays(shape, outputs, kernel))
        return cf_winograd(b, operands[1], operands[2], x, outputs, &params);
    return cf_emit(b, &conv_op, CF_BATCHED, outputs * plane, cf_is_none(bias) ? 2 : 3, operands,
                   CF_PARAMS(&params));
}
