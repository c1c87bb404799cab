/* y of T y = x, T a shared triangular matrix: operands x and T. integer[0]: T is upper triangular;
 * integer[1]: T is taken transposed. What lies in the other triangle is not read. */
#ifndef CF_FN

#include "ops/rows.h"

#define CF_BODY "ops/solve_triangular.c"
#include "simd/instantiate.h"

/* With w of T^T w = dy: dx = w, dT = -w y^T in the triangle. */
static void solve_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    size_t n = node->size;
    bool upper = node->attributes.integer[0] != 0, transposed = node->attributes.integer[1] != 0;
    dx[0] = cf_solve_triangular(b, node->operand[1], dout, upper, !transposed);
    if (!needed[1])
        return;
    cf_value w = cf_scale(b, dx[0], -1.0, 0.0);
    cf_value full = transposed ? cf_outer_sum_rows(b, out, w) : cf_outer_sum_rows(b, w, out);
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
    size_t n = cf_value_size(b, x);
    if (cf_value_size(b, matrix) != n * n)
        return cf_builder_fail(b, CF_INVALID, "a triangle of %zu numbers for %zu features",
                               cf_value_size(b, matrix), n);
    cf_attributes attributes = {.integer = {upper, transposed}};
    cf_value operands[2] = {x, cf_contiguous(b, matrix)};
    return cf_emit(b, &solve_op, CF_ROW, n, 2, operands, &attributes);
}

#else

#include "ops/rows.h"

/* One feature after the other, each less its products with those before; `forwards`: from the
 * first. */
static void CF_FN(solve_triangular)(const cf_call *call) {
    const cf_step *step = call->step;
    size_t n = step->out_size, lanes = call->lanes;
    bool upper = step->node->attributes.integer[0] != 0;
    bool transposed = step->node->attributes.integer[1] != 0, forwards = upper == transposed;
    size_t row_step = transposed ? 1 : n, column_step = transposed ? n : 1;
    const real *matrix = cf_operand_base(call, 1);
    real *out = call->out;
    for (size_t lane = 0; lane < lanes; lane += VL)
        for (size_t i = 0; i < n; i++) {
            size_t f = forwards ? i : n - 1 - i;
            vreal sum = v_load(cf_row(call, 0, f) + lane);
            for (size_t k = 0; k < i; k++) {
                size_t g = forwards ? k : n - 1 - k;
                real t = matrix[f * row_step + g * column_step];
                sum = v_fma(v_set1(-t), v_load(out + g * lanes + lane), sum);
            }
            v_store(out + f * lanes + lane, sum / v_set1(matrix[f * (n + 1)]));
        }
}

#endif
