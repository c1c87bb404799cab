/* exp(A) of an unbatched square matrix, by scaling and squaring: with A / 2^s of norm at most 1/2
 * the Taylor series of 16 terms is exact to rounding in float64 (Moler and Van Loan 2003, method
 * 3). Squarings amplify rounding, so everything is done in float64, in memory behind the result.
 *
 * The gradient, with operands A and the cotangent G, is the derivative of exp at A^T in the
 * direction G, the block above the diagonal of exp([[A^T, G], [0, A^T]]) (Higham 2008, equation
 * 3.16). */
#ifndef CF_FN

#include "base/memory.h"
#include "ops/formula.h"
#include "ops/feature_rows.h"

/* Numbers of a result of `size` of the flow's type with room for `matrices` of as many float64
 * numbers: both begin at even offsets, and a float64 number takes two of float32. */
static size_t with_room(size_t size, size_t matrices) {
    return size + size % 2 + 2 * matrices * size;
}

typedef struct {
    bool antisymmetric;
} exponential_params;

/* Squarings double the distance from a rotation; so many still leave it at float32's rounding. */
enum { PLAIN_SQUARINGS = 12 };

#define CF_BODY "ops/matrix_exponential.c"
#include "simd/instantiate.h"

/* [[x, 0], [y, x]] of matrices of n rows. */
static cf_value join_blocks(cf_builder *b, cf_value x, cf_value y, size_t n) {
    cf_value *parts, joined;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&parts, 4 * n, sizeof *parts) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a view of a matrix");
    cf_value zeros = cf_constant(b, CF_UNBATCHED, n, 0.0);
    for (size_t i = 0; i < n; i++) {
        parts[2 * i] = parts[2 * (n + i) + 1] = cf_slice(b, x, i * n, n);
        parts[2 * i + 1] = zeros;
        parts[2 * (n + i)] = cf_slice(b, y, i * n, n);
    }
    joined = cf_concat(b, parts, 4 * n);
    cf_free(parts);
    return joined;
}

/* The gradient is a block of an exponential itself. Linear in the cotangent, it is taken at the
 * norm 1 (see the kernel), and the norm, of the node's own cotangent, is a number like any other.
 */
static cf_value gradient_formula(cf_builder *b, const cf_node *node, const cf_value *operand) {
    size_t n = cf_order_of_square(node->operand_size[0]);
    cf_value norm = cf_sum_features(b, cf_abs(b, node->operand[1]));
    norm = cf_scale_shift(b, norm, 1.0, 1e-30);
    cf_value both =
        join_blocks(b, cf_transpose(b, operand[0], n), cf_divide(b, operand[1], norm), n);
    both = cf_block(b, cf_matrix_exponential(b, both, false), 2 * n, n, n, n);
    return cf_multiply(b, both, norm);
}

static void gradient_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                          const bool *needed, cf_value *dx) {
    (void)out;
    dout = cf_slice(b, dout, 0, node->operand_size[0]);
    cf_formula_rule(b, node, gradient_formula, dout, needed, dx);
}

static const cf_op gradient_op = {
    .name = "matrix exponential gradient",
    .kernel = CF_VERSIONS(exponential_gradient),
    .gradient = gradient_rule,
};

static void exponential_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    size_t size = node->operand_size[0];
    cf_value operands[2] = {node->operand[0], cf_contiguous(b, cf_slice(b, dout, 0, size))};
    (void)out;
    (void)needed;
    dx[0] = cf_slice(
        b, cf_emit(b, &gradient_op, CF_UNBATCHED, with_room(size, 12), 2, operands, CF_NO_PARAMS),
        0, size);
}

static const cf_op exponential_op = {
    .name = "matrix exponential",
    .params = sizeof(exponential_params),
    .kernel = CF_VERSIONS(exponential),
    .gradient = exponential_rule,
};

cf_value cf_matrix_exponential(cf_builder *b, cf_value matrix, bool antisymmetric) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t size = cf_value_size(b, matrix), n = cf_order_of_square(size);
    if (n * n != size)
        return cf_builder_fail(b, CF_INVALID, "a square matrix of %zu numbers", size);
    matrix = cf_contiguous(b, matrix);
    exponential_params params = {antisymmetric};
    cf_value all = cf_emit(b, &exponential_op, CF_UNBATCHED, with_room(size, 4), 1, &matrix,
                           CF_PARAMS(&params));
    return cf_slice(b, all, 0, size);
}

#else

#include "ops/feature_rows.h"

/* out = x y / divisor, all [n][n]; x may be y. */
static void CF_FN(product)(const double *x, const double *y, size_t n, double divisor,
                           double *restrict out) {
    memset(out, 0, n * n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            double factor = x[i * n + k] / divisor;
            for (size_t j = 0; j < n; j++)
                out[i * n + j] += factor * y[k * n + j];
        }
}

/* The largest sum of magnitudes of a row. */
static double CF_FN(norm)(const double *a, size_t n) {
    double norm = 0.0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < n; j++)
            sum += fabs(a[i * n + j]);
        norm = sum > norm ? sum : norm;
    }
    return norm;
}

/* Scales a to norm 1/2 or less; returns how often it was halved. Numbers that are not finite
 * stay. */
static int CF_FN(halve)(double *a, size_t n) {
    int halvings = 0;
    for (double norm = CF_FN(norm)(a, n); norm > 0.5 && isfinite(norm); norm /= 2.0)
        halvings++;
    for (size_t i = 0; i < n * n; i++)
        a[i] = ldexp(a[i], -halvings);
    return halvings;
}

/* result = result (3 - result^T result) / 2, a step of Newton towards the nearest rotation; two
 * matrices of room. */
static void CF_FN(orthogonalize)(double *result, size_t n, double *room) {
    double *rest = room + n * n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = i == j ? -3.0 : 0.0;
            for (size_t k = 0; k < n; k++)
                sum += result[k * n + i] * result[k * n + j];
            rest[i * n + j] = sum;
        }
    CF_FN(product)(result, rest, n, -2.0, room);
    memcpy(result, room, n * n * sizeof *result);
}

/* result = exp(a); a and room, of a matrix or, antisymmetric, two, are overwritten. */
static void CF_FN(exponential_of)(double *a, size_t n, bool antisymmetric, double *result,
                                  double *room) {
    int halvings = CF_FN(halve)(a, n);
    memset(result, 0, n * n * sizeof *result);
    for (size_t i = 0; i < n; i++)
        result[i * (n + 1)] = 1.0;
    for (int k = 16; k > 0; k--) { /* 1 + a / 1 (1 + a / 2 (1 + …)) */
        CF_FN(product)(a, result, n, k, room);
        memcpy(result, room, n * n * sizeof *result);
        for (size_t i = 0; i < n; i++)
            result[i * (n + 1)] += 1.0;
    }
    for (int k = 0; k < halvings; k++) {
        CF_FN(product)(result, result, n, 1.0, room);
        memcpy(result, room, n * n * sizeof *result);
        if (antisymmetric && halvings > PLAIN_SQUARINGS)
            CF_FN(orthogonalize)(result, n, room);
    }
}

static void CF_FN(exponential)(const cf_call *call) {
    size_t size = call->step->node->operand_size[0], n = cf_order_of_square(size);
    const real *matrix = cf_operand_base(call, 0);
    real *out = call->out;
    double *a = (double *)(out + size + size % 2), *result = a + size;
    for (size_t i = 0; i < size; i++)
        a[i] = (double)matrix[i];
    const exponential_params *p = call->step->node->params;
    CF_FN(exponential_of)(a, n, p->antisymmetric, result, result + size);
    for (size_t i = 0; i < size; i++)
        out[i] = (real)result[i];
}

static void CF_FN(exponential_gradient)(const cf_call *call) {
    size_t size = call->step->node->operand_size[0], n = cf_order_of_square(size), m = 2 * n;
    const real *matrix = cf_operand_base(call, 0), *cotangent = cf_operand_base(call, 1);
    real *gradient = call->out;
    double *a = (double *)(gradient + size + size % 2), *result = a + 4 * size;
    double *g = result + 4 * size; /* for the while */
    for (size_t i = 0; i < size; i++)
        g[i] = (double)cotangent[i];
    /* Linear in the cotangent, which is taken at norm 1: a large one would need so many halvings
     * that nothing of the matrix would be left. */
    double norm = CF_FN(norm)(g, n), scale = norm > 0.0 && isfinite(norm) ? norm : 1.0;
    memset(a, 0, 4 * size * sizeof *a);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            a[i * m + j] = a[(n + i) * m + n + j] = (double)matrix[j * n + i];
            a[i * m + n + j] = g[i * n + j] / scale;
        }
    CF_FN(exponential_of)(a, m, false, result, result + 4 * size);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            gradient[i * n + j] = (real)(result[i * m + n + j] * scale);
}

#endif
