/* The sum over samples of x y^T, the gradient of a matrix: one of x and y is a cotangent, 0 in
 * lanes beyond the last sample. Of groups, x_g y_g^T, one after another. */
#include "ops/feature_rows.h"
#include "simd/matmul.h"

typedef struct {
    const cf_block_mask *mask; /* the sum is 0 outside of it; outlives the program; or NULL */
    size_t groups;             /* 1 beside a mask */
} outer_sum_params;

static void outer_sum_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx) {
    const outer_sum_params *p = node->params;
    (void)out;
    if (p->groups > 1) {
        if (needed[0])
            dx[0] = cf_grouped_matmul(b, dout, CF_NO_VALUE, node->operand[1], node->operand_size[0],
                                      p->groups);
        if (needed[1])
            dx[1] = cf_grouped_matmul_transposed(b, dout, node->operand[0], node->operand_size[1],
                                                 p->groups);
        return;
    }
    if (needed[0])
        dx[0] = cf_masked_matmul(b, dout, CF_NO_VALUE, node->operand[1], node->operand_size[0],
                                 p->mask);
    if (needed[1])
        dx[1] =
            cf_masked_matmul_transposed(b, dout, node->operand[0], node->operand_size[1], p->mask);
}

static size_t outer_sum_scratch(const cf_node *node, size_t lanes, cf_dtype dtype) {
    const outer_sum_params *p = node->params;
    return cf_outer_sum_scratch(node->operand_size[0] / p->groups,
                                node->operand_size[1] / p->groups, lanes, dtype);
}

static void outer_sum(const cf_call *call) {
    const outer_sum_params *p = call->step->node->params;
    const cf_operand *x = &call->step->operand[0], *y = &call->step->operand[1];
    cf_outer_sum_args args = {.outputs = x->size / p->groups,
                              .inputs = y->size / p->groups,
                              .lanes = call->lanes,
                              .slices = (call->samples + call->lanes - 1) / call->lanes,
                              .slice_bytes = call->slice_bytes,
                              .dy = call->base[CF_SPACE_TILE],
                              .x = call->base[CF_SPACE_TILE],
                              .dy_rows = x->feature_rows,
                              .x_rows = y->feature_rows,
                              .dw = call->out,
                              .scratch = call->scratch,
                              .accumulate = call->accumulate,
                              .mask = p->mask};
    for (size_t g = 0; g < p->groups; g++) {
        cf_outer_sum[call->level][call->dtype](&args);
        args.dy_rows += args.outputs;
        args.x_rows += args.inputs;
        args.dw = (char *)args.dw + args.outputs * args.inputs * cf_dtype_size(call->dtype);
    }
}

static const cf_op outer_sum_op = {
    .name = "outer_sum_samples",
    .flags = CF_OP_REDUCTION,
    .params = sizeof(outer_sum_params),
    .kernel = CF_ONE_VERSION(outer_sum),
    .gradient = outer_sum_rule,
    .scratch = outer_sum_scratch,
};

static cf_value emit(cf_builder *b, cf_value x, cf_value y, const cf_block_mask *mask,
                     size_t groups) {
    size_t size;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_value_size(b, x) % groups != 0 || cf_value_size(b, y) % groups != 0)
        return cf_builder_fail(b, CF_INVALID, "%zu and %zu features do not make %zu groups",
                               cf_value_size(b, x), cf_value_size(b, y), groups);
    size = cf_value_size(b, x) / groups * cf_value_size(b, y); /* both below 2^31 */
    outer_sum_params params = {mask, groups};
    return cf_emit(b, &outer_sum_op, CF_UNBATCHED, size, 2, (cf_value[]){x, y}, CF_PARAMS(&params));
}

cf_value cf_outer_sum_samples(cf_builder *b, cf_value x, cf_value y) {
    return emit(b, x, y, NULL, 1);
}

cf_value cf_masked_outer_sum_samples(cf_builder *b, cf_value x, cf_value y,
                                     const cf_block_mask *mask) {
    return emit(b, x, y, mask, 1);
}

cf_value cf_grouped_outer_sum_samples(cf_builder *b, cf_value x, cf_value y, size_t groups) {
    return emit(b, x, y, NULL, groups);
}
