/* The sum over rows of x y^T, the gradient of a matrix: one of x and y is a cotangent, 0 in lanes
 * beyond the last row. */
#include "ops/rows.h"
#include "simd/matmul.h"

typedef struct {
    const cf_staircase *stairs; /* the sum is 0 outside of it; outlives the program; or NULL */
} outer_sum_params;

static void outer_sum_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx) {
    const outer_sum_params *p = node->params;
    (void)out;
    if (needed[0])
        dx[0] = cf_stairs_matmul(b, dout, CF_NO_VALUE, node->operand[1], node->operand_size[0],
                                 p->stairs);
    if (needed[1])
        dx[1] = cf_stairs_matmul_transposed(b, dout, node->operand[0], node->operand_size[1],
                                            p->stairs);
}

static size_t outer_sum_scratch(const cf_node *node, size_t lanes, cf_dtype dtype) {
    return cf_outer_sum_scratch(node->operand_size[0], node->operand_size[1], lanes, dtype);
}

static void outer_sum(const cf_call *call) {
    const outer_sum_params *p = call->step->node->params;
    const cf_operand *x = &call->step->operand[0], *y = &call->step->operand[1];
    cf_outer_sum_args args = {.outputs = x->size,
                              .inputs = y->size,
                              .lanes = call->lanes,
                              .slices = (call->rows + call->lanes - 1) / call->lanes,
                              .slice_bytes = call->slice_bytes,
                              .dy = call->base[CF_SPACE_TILE],
                              .x = call->base[CF_SPACE_TILE],
                              .dy_rows = x->rows,
                              .x_rows = y->rows,
                              .dw = call->out,
                              .scratch = call->scratch,
                              .accumulate = call->accumulate,
                              .staircase = p->stairs};
    cf_outer_sum[call->level][call->dtype](&args);
}

static const cf_op outer_sum_op = {
    .name = "outer_sum_rows",
    .flags = CF_OP_REDUCTION,
    .params = sizeof(outer_sum_params),
    .kernel = CF_ONE_VERSION(outer_sum),
    .gradient = outer_sum_rule,
    .scratch = outer_sum_scratch,
};

cf_value cf_outer_sum_rows(cf_builder *b, cf_value x, cf_value y) {
    return cf_stairs_outer_sum_rows(b, x, y, NULL);
}

cf_value cf_stairs_outer_sum_rows(cf_builder *b, cf_value x, cf_value y,
                                  const cf_staircase *staircase) {
    size_t size;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size = cf_value_size(b, x) * cf_value_size(b, y); /* both below 2^31 */
    outer_sum_params params = {staircase};
    return cf_emit(b, &outer_sum_op, CF_SHARED, size, 2, (cf_value[]){x, y}, CF_PARAMS(&params));
}
