/* y of T y = x, T an unbatched triangular matrix: operands x and T. What lies in the other triangle
 * is not read. */
#ifndef CF_FN

#include "ops/feature_rows.h"

typedef struct {
    bool upper, transposed; /* T is upper triangular; it is taken transposed */
    size_t n;               /* T's order, and the channels of x */
    size_t pixels;          /* of x */
} solve_params;

#define CF_BODY "ops/solve_triangular.c"
#include "simd/instantiate.h"

/* With w of T^T w = dy: dx = w, dT = -w y^T in the triangle. */
static void solve_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    const solve_params *p = node->params;
    cf_shape shape = {p->n, 1, p->pixels, true};
    dx[0] = cf_solve_triangular(b, node->operand[1], dout, p->upper, !p->transposed);
    if (!needed[1])
        return;
    cf_value w = cf_scale_shift(b, dx[0], -1.0, 0.0);
    cf_value full = p->transposed ? cf_channels_outer_sum(b, out, w, shape)
                                  : cf_channels_outer_sum(b, w, out, shape);
    dx[1] = cf_triangle(b, full, cf_diagonal(b, full, p->n), 0.0, p->upper);
}

static const cf_op solve_op = {
    .name = "solve_triangular",
    .params = sizeof(solve_params),
    .kernel = CF_VERSIONS(solve_triangular),
    .gradient = solve_rule,
};

cf_value cf_solve_triangular(cf_builder *b, cf_value matrix, cf_value x, bool upper,
                             bool transposed) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_value_size(b, x), size = cf_value_size(b, matrix);
    size_t n = cf_order_of_square(size);
    if (n * n != size || n == 0 || features % n != 0)
        return cf_builder_fail(b, CF_INVALID, "a triangle of %zu numbers for %zu features", size,
                               features);
    solve_params params = {upper, transposed, n, features / n};
    cf_value operands[2] = {x, cf_contiguous(b, matrix)};
    return cf_emit(b, &solve_op, CF_BATCHED, features, 2, operands, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

/* At one pixel: one channel after the other, each less its products with those before;
 * `forwards`: from the first. */
static void CF_FN(solve_pixel)(const cf_call *call, const real *matrix, size_t pixel) {
    const solve_params *p = call->step->node->params;
    size_t n = p->n, pixels = p->pixels, lanes = call->lanes;
    bool forwards = p->upper == p->transposed;
    size_t row_step = p->transposed ? 1 : n, column_step = p->transposed ? n : 1;
    real *out = (real *)call->out + pixel * lanes;
    for (size_t lane = 0; lane < lanes; lane += VL)
        for (size_t i = 0; i < n; i++) {
            size_t f = forwards ? i : n - 1 - i;
            vreal sum = v_load(cf_feature_row(call, 0, f * pixels + pixel) + lane);
            for (size_t k = 0; k < i; k++) {
                size_t g = forwards ? k : n - 1 - k;
                real t = matrix[f * row_step + g * column_step];
                sum = v_fma(v_set1(-t), v_load(out + g * pixels * lanes + lane), sum);
            }
            v_store(out + f * pixels * lanes + lane, sum / v_set1(matrix[f * (n + 1)]));
        }
}

static void CF_FN(solve_triangular)(const cf_call *call) {
    const solve_params *p = call->step->node->params;
    const real *matrix = cf_operand_base(call, 1);
    for (size_t pixel = 0; pixel < p->pixels; pixel++)
        CF_FN(solve_pixel)(call, matrix, pixel);
}

#endif
