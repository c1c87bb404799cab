/* y of W y = x, or W^T y = x, by multiplication with W's inverse: operands x, W and the inverse.
 * integer[0]: transposed. */
#include "ops/rows.h"
#include "simd/matmul.h"

/* With w of W^T w = dy: dx = w, dW = -w y^T. The inverse is a function of W, and has its share
 * there. */
static void solve_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    bool transposed = node->attributes.integer[0] != 0;
    dx[0] = cf_solve(b, node->operand[1], node->operand[2], dout, !transposed);
    if (!needed[1])
        return;
    cf_value w = cf_scale(b, dx[0], -1.0, 0.0);
    dx[1] = transposed ? cf_outer_sum_rows(b, out, w) : cf_outer_sum_rows(b, w, out);
}

static void solve(const cf_call *call) {
    const cf_step *step = call->step;
    size_t n = step->out_size;
    bool transposed = step->node->attributes.integer[0] != 0;
    cf_linear_args args = {.outputs = n,
                           .inputs = n,
                           .lanes = call->lanes,
                           .weight = cf_operand_base(call, 2),
                           .output_stride = transposed ? 1 : n,
                           .input_stride = transposed ? n : 1,
                           .x = call->base[CF_SPACE_TILE],
                           .x_rows = step->operand[0].rows,
                           .y = call->out,
                           .one_row = call->one_row};
    cf_linear[call->level][call->dtype](&args);
}

static const cf_op solve_op = {
    .name = "solve",
    .kernel = CF_ONE_VERSION(solve),
    .gradient = solve_rule,
};

cf_value cf_solve(cf_builder *b, cf_value matrix, cf_value inverse, cf_value x, bool transposed) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t n = cf_value_size(b, x);
    if (cf_value_size(b, matrix) != n * n || cf_value_size(b, inverse) != n * n)
        return cf_builder_fail(b, CF_INVALID, "a matrix of %zu numbers for %zu features",
                               cf_value_size(b, matrix), n);
    cf_value operands[3] = {x, cf_contiguous(b, matrix), cf_contiguous(b, inverse)};
    cf_attributes attributes = {.integer = {transposed}};
    return cf_emit(b, &solve_op, CF_ROW, n, 3, operands, &attributes);
}
