/* One triangle of an unbatched square matrix, with another diagonal: operands matrix and, unless
 * the diagonal is a number, diagonal. */
#ifndef CF_FN

#include "ops/feature_rows.h"

typedef struct {
    bool upper;
    double number; /* of the diagonal, unless that is an operand */
} triangle_params;

#define CF_BODY "ops/triangle.c"
#include "simd/instantiate.h"

static void triangle_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    const triangle_params *p = node->params;
    size_t size = node->operand_size[node->operands - 1];
    (void)out;
    if (needed[0])
        dx[0] = cf_triangle(b, dout, CF_NO_VALUE, 0.0, p->upper);
    if (node->operands > 1 && needed[1])
        dx[1] = cf_diagonal(b, dout, size);
}

static const cf_op triangle_op = {
    .name = "triangle",
    .params = sizeof(triangle_params),
    .kernel = CF_VERSIONS(triangle),
    .gradient = triangle_rule,
};

cf_value cf_triangle(cf_builder *b, cf_value matrix, cf_value diagonal, double number, bool upper) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t size = cf_value_size(b, matrix), n = cf_order_of_square(size);
    bool given = !cf_is_none(diagonal);
    if (n * n != size || (given && cf_value_size(b, diagonal) != n))
        return cf_builder_fail(b, CF_INVALID, "a triangle of %zu numbers", size);
    cf_value operands[2] = {cf_contiguous(b, matrix), CF_NO_VALUE};
    if (given)
        operands[1] = cf_contiguous(b, diagonal);
    triangle_params params = {upper, number};
    return cf_emit(b, &triangle_op, CF_UNBATCHED, size, given ? 2 : 1, operands,
                   CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

static void CF_FN(triangle)(const cf_call *call) {
    const cf_step *step = call->step;
    const triangle_params *p = step->node->params;
    size_t n = cf_order_of_square(step->out_size);
    bool given = step->node->operands > 1;
    const real *matrix = cf_operand_base(call, 0);
    const real *diagonal = given ? cf_operand_base(call, 1) : NULL;
    real number = (real)p->number, *out = call->out;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            bool inside = p->upper ? i < j : j < i;
            out[i * n + j] = inside ? matrix[i * n + j] : 0;
            if (i == j)
                out[i * n + j] = given ? diagonal[i] : number;
        }
}

#endif
