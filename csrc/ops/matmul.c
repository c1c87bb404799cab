/* y = W x + bias, or y = W^T x: operands x, W and, if there is one, the bias. Of groups, each has a
 * matrix of its own, and takes as many neighbouring features. */
#include "base/memory.h"
#include "ops/elementwise.h"
#include "ops/feature_rows.h"
#include "simd/matmul.h"

typedef struct {
    bool transposed;
    size_t row_step;           /* from one row of W to the next */
    const cf_block_mask *mask; /* W's; outlives the program; or NULL */
    size_t groups;             /* 1 beside a mask */
} matmul_params;

static cf_value emit(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs,
                     bool transposed, const cf_block_mask *mask, size_t groups);

static void matmul_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    cf_value x = node->operand[0], weight = node->operand[1];
    const matmul_params *p = node->params;
    const cf_block_mask *mask = p->mask;
    bool transposed = p->transposed;
    (void)out;
    if (needed[0])
        dx[0] =
            emit(b, weight, CF_NO_VALUE, dout, node->operand_size[0], !transposed, mask, p->groups);
    if (needed[1] && mask != NULL)
        dx[1] = cf_masked_outer_sum_samples(b, transposed ? x : dout, transposed ? dout : x, mask);
    else if (needed[1])
        dx[1] = cf_grouped_outer_sum_samples(b, transposed ? x : dout, transposed ? dout : x,
                                             p->groups);
    if (node->operands > 2 && needed[2])
        dx[2] = cf_sum_samples(b, dout);
}

/* One after the other of the groups. A fused step has its turn when a group is done: its rows are
 * few enough to be in the cache, and whole ones are done at once. */
static void run_groups(const cf_call *call, cf_linear_args args, size_t weights) {
    const matmul_params *p = call->step->node->params;
    size_t element = cf_dtype_size(call->dtype);
    cf_epilogue epilogue = args.epilogue;
    args.epilogue = NULL;
    for (size_t g = 0; g < p->groups; g++) {
        cf_linear[call->level][call->dtype](&args);
        if (epilogue != NULL)
            epilogue(call, g * args.outputs, args.outputs, 0, args.lanes);
        args.weight = (const char *)args.weight + weights * element;
        if (args.bias != NULL)
            args.bias = (const char *)args.bias + args.outputs * element;
        args.x_rows += args.inputs;
        args.y = (char *)args.y + args.outputs * args.lanes * element;
    }
}

static void matmul(const cf_call *call) {
    const cf_step *step = call->step;
    const cf_node *node = step->node;
    const matmul_params *p = node->params;
    const cf_block_mask *mask = p->mask;
    bool relu = cf_relu_follows(step);
    cf_linear_args args = {.outputs = node->size / p->groups,
                           .inputs = step->operand[0].size / p->groups,
                           .lanes = call->lanes,
                           .weight = cf_operand_base(call, 1),
                           .output_stride = p->transposed ? 1 : p->row_step,
                           .input_stride = p->transposed ? p->row_step : 1,
                           .begin = mask != NULL && p->transposed ? mask->first : NULL,
                           .end = mask != NULL && !p->transposed ? mask->end : NULL,
                           .bias = node->operands > 2 ? cf_operand_base(call, 2) : NULL,
                           .x = call->base[CF_SPACE_TILE],
                           .x_rows = step->operand[0].feature_rows,
                           .y = call->out,
                           .relu = relu, /* the kernel's own, before it stores */
                           .epilogue = step->epilogue != NULL && !relu ? cf_run_epilogue : NULL,
                           .epilogue_context = call,
                           .one_sample = call->one_sample};
    if (p->groups == 1)
        cf_linear[call->level][call->dtype](&args);
    else
        run_groups(call, args, p->row_step * (p->transposed ? args.inputs : args.outputs));
}

static const cf_op matmul_op = {
    .name = "matmul",
    .flags = CF_OP_EPILOGUE,
    .params = sizeof(matmul_params),
    .kernel = CF_ONE_VERSION(matmul),
    .gradient = matmul_rule,
};

/* From one of `rows` rows to the next if the view is one of equally spaced rows, else 0. */
static size_t row_step(const cf_builder *b, cf_value matrix, size_t rows) {
    size_t count, columns = cf_value_size(b, matrix) / (rows > 0 ? rows : 1);
    const cf_segment *s = cf_segments(b, matrix, &count);
    if (count == 1 && (s->stride == 1 || s->count == 1))
        return columns;
    if (count == 1)
        return columns == 1 && s->stride > 0 ? (size_t)s->stride : 0;
    if (count != rows || s[1].first < s->first)
        return 0;
    size_t step = s[1].first - s->first;
    for (size_t i = 0; i < rows; i++)
        if (s[i].node != s->node || s[i].count != columns || s[i].first != s->first + i * step ||
            (s[i].stride != 1 && columns > 1))
            return 0;
    return step;
}

static cf_value emit(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs,
                     bool transposed, const cf_block_mask *mask, size_t groups) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t inputs = cf_value_size(b, x), weights = cf_value_size(b, weight);
    size_t rows = transposed ? inputs : outputs, columns = (transposed ? outputs : inputs) / groups;
    if (weights / (rows > 0 ? rows : 1) != columns || weights != rows * columns ||
        rows % groups != 0 || (transposed ? outputs : inputs) % groups != 0)
        return cf_builder_fail(b, CF_INVALID,
                               "%zu matrices of %zu numbers cannot take %zu features to %zu",
                               groups, weights, inputs, outputs);
    if (mask != NULL && (mask->outputs != rows || mask->inputs != columns))
        return cf_builder_fail(b, CF_INVALID, "a mask of %zu by %zu for a matrix of %zu by %zu",
                               mask->outputs, mask->inputs, rows, columns);
    if (!cf_is_none(bias) && cf_value_size(b, bias) != outputs)
        return cf_builder_fail(b, CF_INVALID, "a bias of %zu numbers beside %zu outputs",
                               cf_value_size(b, bias), outputs);
    size_t step = row_step(b, weight, rows);
    cf_value operands[3] = {x, step > 0 ? weight : cf_contiguous(b, weight), CF_NO_VALUE};
    if (!cf_is_none(bias))
        operands[2] = cf_contiguous(b, bias);
    matmul_params params = {transposed, step > 0 ? step : columns, mask, groups};
    return cf_emit(b, &matmul_op, CF_BATCHED, outputs, cf_is_none(bias) ? 2 : 3, operands,
                   CF_PARAMS(&params));
}

cf_value cf_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs) {
    return emit(b, weight, bias, x, outputs, false, NULL, 1);
}

cf_value cf_matmul_transposed(cf_builder *b, cf_value weight, cf_value x, size_t outputs) {
    return emit(b, weight, CF_NO_VALUE, x, outputs, true, NULL, 1);
}

cf_value cf_masked_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs,
                          const cf_block_mask *mask) {
    return emit(b, weight, bias, x, outputs, false, mask, 1);
}

cf_value cf_masked_matmul_transposed(cf_builder *b, cf_value weight, cf_value x, size_t outputs,
                                     const cf_block_mask *mask) {
    return emit(b, weight, CF_NO_VALUE, x, outputs, true, mask, 1);
}

cf_value cf_grouped_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x,
                           size_t outputs, size_t groups) {
    return emit(b, weight, bias, x, outputs, false, NULL, groups);
}

cf_value cf_grouped_matmul_transposed(cf_builder *b, cf_value weight, cf_value x, size_t outputs,
                                      size_t groups) {
    return emit(b, weight, CF_NO_VALUE, x, outputs, true, NULL, groups);
}

cf_value cf_block(cf_builder *b, cf_value matrix, size_t row_size, size_t row, size_t rows,
                  size_t columns) {
    cf_value *parts, block;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&parts, rows, sizeof *parts) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a view of a matrix");
    for (size_t i = 0; i < rows; i++)
        parts[i] = cf_slice(b, matrix, (row + i) * row_size, columns);
    block = cf_concat(b, parts, rows);
    cf_free(parts);
    return block;
}
