/* y of T y = x, T a shared triangular matrix: operands x and T. integer[0]: T is upper triangular;
 * integer[1]: T is taken transposed; integer[2]: T's order; integer[3]: the pixels of x, whose
 * channels are as many. What lies in the other triangle is not read. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/solve_triangular.c"
#include "simd/instantiate.h"

/* With w of T^T w = dy: dx = w, dT = -w y^T in the triangle. */
static void solve_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    size_t n = (size_t)node->attributes.integer[2];
    cf_shape shape = {n, 1, (size_t)node->attributes.integer[3], true};
    bool upper = node->attributes.integer[0] != 0, transposed = node->attributes.integer[1] != 0;
    dx[0] = cf_solve_triangular(b, node->operand[1], dout, upper, !transposed);
    if (!needed[1])
        return;
    cf_value w = cf_scale(b, dx[0], -1.0, 0.0);
    cf_value full = transposed ? cf_channels_outer_sum(b, out, w, shape)
                               : cf_channels_outer_sum(b, w, out, shape);
    dx[1] = cf_triangle(b, full, cf_diagonal(b, full, n), 0.0, upper);
}

static const cf_op solve_op = {
    .name = "solve_triangular",
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
    cf_attributes attributes = {
        .integer = {upper, transposed, (int64_t)n, (int64_t)(features / n)}};
    cf_value operands[2] = {x, cf_contiguous(b, matrix)};
    return cf_emit(b, &solve_op, CF_ROW, features, 2, operands, CF_PARAMS(&attributes));
}

#else

#include "ops/rows.h"

/* At one pixel: one channel after the other, each less its products with those before;
 * `forwards`: from the first. */
static void CF_FN(solve_pixel)(const cf_call *call, const real *matrix, size_t pixel) {
    const int64_t *integer = call->step->node->attributes.integer;
    size_t n = (size_t)integer[2], pixels = (size_t)integer[3], lanes = call->lanes;
    bool upper = integer[0] != 0, transposed = integer[1] != 0, forwards = upper == transposed;
    size_t row_step = transposed ? 1 : n, column_step = transposed ? n : 1;
    real *out = (real *)call->out + pixel * lanes;
    for (size_t lane = 0; lane < lanes; lane += VL)
        for (size_t i = 0; i < n; i++) {
            size_t f = forwards ? i : n - 1 - i;
            vreal sum = v_load(cf_row(call, 0, f * pixels + pixel) + lane);
            for (size_t k = 0; k < i; k++) {
                size_t g = forwards ? k : n - 1 - k;
                real t = matrix[f * row_step + g * column_step];
                sum = v_fma(v_set1(-t), v_load(out + g * pixels * lanes + lane), sum);
            }
            v_store(out + f * pixels * lanes + lane, sum / v_set1(matrix[f * (n + 1)]));
        }
}

static void CF_FN(solve_triangular)(const cf_call *call) {
    size_t pixels = (size_t)call->step->node->attributes.integer[3];
    const real *matrix = cf_operand_base(call, 1);
    for (size_t pixel = 0; pixel < pixels; pixel++)
        CF_FN(solve_pixel)(call, matrix, pixel);
}

#endif
