/* y = W x + bias, or y = W^T x: operands x, W and, if there is one, the bias. integer[0]:
 * transposed. */
#include "ops/elementwise.h"
#include "ops/rows.h"
#include "simd/matmul.h"

static void matmul_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    cf_value x = node->operand[0], weight = node->operand[1];
    bool transposed = node->attributes.integer[0] != 0;
    (void)out;
    if (needed[0])
        dx[0] = transposed ? cf_matmul(b, weight, CF_NO_VALUE, dout, node->operand_size[0])
                           : cf_matmul_transposed(b, weight, dout, node->operand_size[0]);
    if (needed[1])
        dx[1] = transposed ? cf_outer_sum_rows(b, x, dout) : cf_outer_sum_rows(b, dout, x);
    if (node->operands > 2 && needed[2])
        dx[2] = cf_sum_rows(b, dout);
}

static void matmul(const cf_call *call) {
    const cf_step *step = call->step;
    const cf_node *node = step->node;
    bool transposed = node->attributes.integer[0] != 0;
    bool relu = step->epilogue != NULL && step->epilogue->node->op == &cf_relu_op;
    cf_linear_args args = {.outputs = node->size,
                           .inputs = step->operand[0].size,
                           .lanes = call->lanes,
                           .weight = cf_operand_base(call, 1),
                           .output_stride = transposed ? 1 : step->operand[0].size,
                           .input_stride = transposed ? node->size : 1,
                           .bias = node->operands > 2 ? cf_operand_base(call, 2) : NULL,
                           .x = call->base[CF_SPACE_TILE],
                           .x_rows = step->operand[0].rows,
                           .y = call->out,
                           .relu = relu, /* the kernel's own, before it stores */
                           .epilogue = step->epilogue != NULL && !relu ? cf_run_epilogue : NULL,
                           .epilogue_context = call,
                           .one_row = call->one_row};
    cf_linear[call->level][call->dtype](&args);
}

static const cf_op matmul_op = {
    .name = "matmul",
    .flags = CF_OP_EPILOGUE,
    .kernel = CF_ONE_VERSION(matmul),
    .gradient = matmul_rule,
};

static cf_value emit(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs,
                     bool transposed) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t inputs = cf_value_size(b, x), weights = cf_value_size(b, weight);
    if (weights / (outputs > 0 ? outputs : 1) != inputs || weights != outputs * inputs)
        return cf_builder_fail(b, CF_INVALID,
                               "a matrix of %zu numbers cannot take %zu features to %zu", weights,
                               inputs, outputs);
    if (!cf_is_none(bias) && cf_value_size(b, bias) != outputs)
        return cf_builder_fail(b, CF_INVALID, "a bias of %zu numbers beside %zu outputs",
                               cf_value_size(b, bias), outputs);
    cf_value operands[3] = {x, cf_contiguous(b, weight), CF_NO_VALUE};
    if (!cf_is_none(bias))
        operands[2] = cf_contiguous(b, bias);
    cf_attributes attributes = {.integer = {transposed}};
    return cf_emit(b, &matmul_op, CF_ROW, outputs, cf_is_none(bias) ? 2 : 3, operands, &attributes);
}

cf_value cf_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs) {
    return emit(b, weight, bias, x, outputs, false);
}

cf_value cf_matmul_transposed(cf_builder *b, cf_value weight, cf_value x, size_t outputs) {
    return emit(b, weight, CF_NO_VALUE, x, outputs, true);
}
