/* y of W y = x, or W^T y = x, by multiplication with W's inverse: operands x, W and the inverse. */
#include "ops/feature_rows.h"
#include "simd/matmul.h"

typedef struct {
    bool transposed;
    size_t n;      /* W's order, and the channels of x */
    size_t pixels; /* of x */
} solve_params;

/* With w of W^T w = dy: dx = w, dW = -w y^T. The inverse is a function of W, and has its share
 * there. */
static void solve_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    const solve_params *p = node->params;
    cf_shape shape = {p->n, 1, p->pixels, true};
    dx[0] = cf_solve(b, node->operand[1], node->operand[2], dout, !p->transposed);
    if (!needed[1])
        return;
    cf_value w = cf_scale_shift(b, dx[0], -1.0, 0.0);
    dx[1] = p->transposed ? cf_channels_outer_sum(b, out, w, shape)
                          : cf_channels_outer_sum(b, w, out, shape);
}

static size_t solve_scratch(const cf_node *node, size_t lanes, cf_dtype dtype) {
    const solve_params *p = node->params;
    (void)lanes;
    (void)dtype;
    return p->n * sizeof(uint32_t);
}

static void solve(const cf_call *call) {
    const cf_step *step = call->step;
    const solve_params *p = step->node->params;
    size_t n = p->n, pixels = p->pixels;
    uint32_t *rows = call->scratch;
    cf_linear_args args = {.outputs = n,
                           .inputs = n,
                           .lanes = call->lanes,
                           .weight = cf_operand_base(call, 2),
                           .output_stride = p->transposed ? 1 : n,
                           .input_stride = p->transposed ? n : 1,
                           .x = call->base[CF_SPACE_TILE],
                           .x_rows = rows,
                           .y_step = pixels * call->lanes,
                           .one_sample = call->one_sample && pixels == 1};
    for (size_t pixel = 0; pixel < pixels; pixel++) {
        for (size_t c = 0; c < n; c++)
            rows[c] = step->operand[0].feature_rows[c * pixels + pixel];
        args.y = (char *)call->out + pixel * call->lanes * cf_dtype_size(call->dtype);
        cf_linear[call->level][call->dtype](&args);
    }
}

static const cf_op solve_op = {
    .name = "solve",
    .params = sizeof(solve_params),
    .kernel = CF_ONE_VERSION(solve),
    .gradient = solve_rule,
    .scratch = solve_scratch,
};

cf_value cf_solve(cf_builder *b, cf_value matrix, cf_value inverse, cf_value x, bool transposed) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_value_size(b, x), size = cf_value_size(b, matrix);
    size_t n = cf_order_of_square(size);
    if (n * n != size || n == 0 || cf_value_size(b, inverse) != size || features % n != 0)
        return cf_builder_fail(b, CF_INVALID, "a matrix of %zu numbers for %zu features", size,
                               features);
    cf_value operands[3] = {x, cf_contiguous(b, matrix), cf_contiguous(b, inverse)};
    solve_params params = {transposed, n, features / n};
    return cf_emit(b, &solve_op, CF_BATCHED, features, 3, operands, CF_PARAMS(&params));
}
