/* The table of test_gradients.c: every op, with operands of every kind. */
#ifndef GRADIENT_CASES_H
#define GRADIENT_CASES_H

#include "gradient_programs.h"

#include "ops/fixed_map.h"
#include "ops/logistic_mixture.h"
#include "ops/runge_kutta.h"
#include "ops/special.h"
#include "ops/spline.h"

#define ROWS(size, low, high)                                                                      \
    { size, low, high, CF_BATCHED, false }
#define SHARED(size, low, high)                                                                    \
    { size, low, high, CF_UNBATCHED, false }
#define WHOLE(size, low, high)                                                                     \
    { size, low, high, CF_BATCHED, true }

/* ---- numbers ---- */

typedef cf_value (*unary)(cf_builder *b, cf_value x);

static cf_value emit_unary(cf_builder *b, const cf_value *x, const void *data) {
    unary emit;
    memcpy(&emit, data, sizeof emit);
    return emit(b, *x);
}

#define UNARY(name, low, high)                                                                     \
    {#name, emit_unary, &(const unary){name}, {ROWS(3, low, high)}, NULL, false}, {                \
#name " of unbatched", emit_unary,                                                         \
            &(const unary){name }, {SHARED(3, low, high) }, NULL, false                            \
    }

typedef cf_value (*binary)(cf_builder *b, cf_value x, cf_value y);

static cf_value emit_binary(cf_builder *b, const cf_value *x, const void *data) {
    binary emit;
    memcpy(&emit, data, sizeof emit);
    return emit(b, x[0], x[1]);
}

#define BINARY(name)                                                                               \
    {#name, emit_binary, &(const binary){name}, {ROWS(3, -2, 2), ROWS(3, 0.5, 2)}, NULL, false},   \
        {#name " of one",                                                                          \
         emit_binary,                                                                              \
         &(const binary){name},                                                                    \
         {ROWS(3, -2, 2), ROWS(1, 0.5, 2)},                                                        \
         NULL,                                                                                     \
         false},                                                                                   \
    {                                                                                              \
#name " of unbatched", emit_binary,                                                        \
            &(const binary){name }, {ROWS(3, -2, 2), SHARED(3, 0.5, 2) }, NULL, false              \
    }

static cf_value emit_numbered(cf_builder *b, const cf_value *x, const void *data) {
    switch (*(const char *)data) {
    case 'C':
        return cf_cosine(b, *x, 0.3, 0.1);
    case 's':
        return cf_softclip(b, *x, 1.5);
    case 'l':
        return cf_leaky_relu(b, *x, 0.2);
    case 'c':
        return cf_clamp(b, *x, -1, 1.2);
    case 'S':
        return cf_saturate(b, *x);
    case 'w':
        return cf_wrap(b, *x, -1, 1.2);
    case 'a':
        return cf_scale_shift(b, *x, -1.7, 0.3);
    case '>':
        return cf_greater_equal(b, *x, 0.2);
    case 'i':
        return cf_log_indicator_integers(b, *x, -2, 2);
    case 'd':
        return cf_dropout(b, *x, 0.4);
    case 'n':
        return cf_add_noise(b, cf_floor(b, *x), x[1]);
    case 'g':
        return cf_stated_gradient(b, cf_sum_features(b, cf_exp(b, *x)), *x, x[1]);
    case '?':
        return cf_where(b, cf_scale_shift(b, cf_slice(b, x[1], 0, 1), 1.0, -0.5), cf_exp(b, *x),
                        cf_multiply(b, *x, x[1]));
    case 'h':
        return cf_advance(b, *x, cf_constant(b, CF_BATCHED, 1, 0.3), 3,
                          (cf_value[]){cf_exp(b, x[1]), x[0], cf_tanh(b, *x)},
                          (const double[]){1.5, 0.0, -0.7});
    case 'W':
        return cf_scale_gradient(b, *x, cf_slice(b, x[1], 0, 1));
    case 'U':
        return cf_lambert_root(b, *x, x[1]);
    case 'f':
        return cf_fixed_affine(b, *x, 0, false);
    case 'F':
        return cf_fixed_affine(b, *x, 0, true);
    case 'G':
        return cf_fixed_affine(b, cf_tanh(b, *x), 0, true);
    default:
        return cf_log_indicator(b, *x, 6, 9);
    }
}

#define NUMBERED(name, letter, zero)                                                               \
    { name, emit_numbered, letter, {ROWS(3, -2, 2), ROWS(3, 0.1, 0.9)}, NULL, zero }

/* Of numbers on (-2, 2) and on (0, 1). */
static cf_value emit_special(cf_builder *b, const cf_value *x, const void *data) {
    switch (*(const char *)data) {
    case 'n':
        return cf_area(b, CF_AREA_NORMAL, 0, cf_exp(b, x[0]), x[1]);
    case 'N':
        return cf_area_density(b, CF_AREA_NORMAL, 2, cf_exp(b, x[0]), x[1]);
    case 'c':
        return cf_area(b, CF_AREA_CIRCLE, 1, x[1], x[0]);
    case 'C':
        return cf_area_density(b, CF_AREA_CIRCLE, 0, x[1], x[0]);
    case 'g':
        return cf_area(b, CF_AREA_GAMMA, 0, cf_scale_shift(b, x[1], 1.0, 1.0), x[0]);
    case 'G':
        return cf_area_density(b, CF_AREA_GAMMA, 1, cf_scale_shift(b, x[1], 1.0, 1.0), x[0]);
    case 'k':
        return cf_kl_div(b, cf_exp(b, x[0]), x[1]);
    case 'i':
        return cf_multiply(b, x[0], cf_interior(b, x[1], true));
    case 's':
        return cf_stirling(b, x[1]);
    default: /* from 5 to 21, on both sides of 8 */
        return cf_stirling(b, cf_scale_shift(b, x[0], 4.0, 13.0));
    }
}

#define SPECIAL(name, letter)                                                                      \
    { name, emit_special, letter, {ROWS(3, -2, 2), ROWS(3, 0.1, 0.9)}, NULL, false }

/* ---- fixed maps ---- */

typedef struct {
    cf_map_step step;
    bool to_base, beside_input;
} fixed_case;

/* The step, then an affine one; the values and the log_det. */
static cf_value emit_fixed_map(cf_builder *b, const cf_value *x, const void *data) {
    static cf_map_step steps[64][6];
    static const size_t first[] = {0, 2, 4, 6};
    static size_t maps;
    const fixed_case *c = data;
    cf_map_step *own = steps[maps++ % 64];
    for (size_t f = 0; f < 3; f++) {
        own[2 * f + (c->to_base ? 1 : 0)] = c->step;
        own[2 * f + (c->to_base ? 0 : 1)] =
            (cf_map_step){.kind = CF_MAP_AFFINE, .shift = f, .scale = 3 + f};
    }
    cf_fixed_map map = {.features = 3, .first = first, .steps = own};
    cf_value from = c->beside_input ? *x : cf_scale_shift(b, *x, 1.0, 0.0);
    cf_value log_det = cf_fixed_map_log_det(b, from, &map, c->to_base, CF_NO_VALUE);
    cf_value value = cf_fixed_map_value(b, from, &map, c->to_base, CF_NO_VALUE);
    return cf_concat(b, (cf_value[]){value, cf_broadcast(b, log_det)}, 2);
}

#define FIXED_MAP(name, lowest, highest, base, ...)                                                \
    {                                                                                              \
        name,                                                                                      \
        emit_fixed_map,                                                                            \
        &(const fixed_case){__VA_ARGS__, base, true},                                              \
        {ROWS(3, lowest, highest)},                                                                \
        NULL,                                                                                      \
        false},                                                                                    \
    {                                                                                              \
        name " of values", emit_fixed_map, &(const fixed_case){__VA_ARGS__, base, false},          \
            {ROWS(3, lowest, highest)}, NULL, false                                                \
    }

/* ---- features ---- */

static cf_value emit_features(cf_builder *b, const cf_value *x, const void *data) {
    cf_value log_det, y;
    switch (*(const char *)data) {
    case 's':
        return cf_sum_features(b, *x);
    case 'g':
        return cf_sum_groups(b, *x, 3);
    case 'l':
        return cf_log_sum_exp(b, *x);
    case 'L':
        return cf_log_sum_exp_groups(b, cf_transpose(b, *x, 3), 2);
    case 'n':
        return cf_normal_log_density(b, *x);
    case 'u':
        return cf_unit_vector(b, *x);
    default:
        y = cf_affine(b, x[0], x[1], x[2], *(const char *)data == 'A', &log_det);
        return cf_concat(b, (cf_value[]){y, log_det}, 2);
    }
}

/* ---- matrices ---- */

static const cf_block_mask mask = {3, 4, (const uint32_t[]){1, 2, 4},
                                   (const uint32_t[]){0, 1, 2, 2}};
static const unsigned char entries[] = {1, 0, 0, 0, 1, 0, 1, 1, 0};

static cf_value emit_matrix(cf_builder *b, const cf_value *x, const void *data) {
    cf_value log_det, inverse, y;
    char letter = *(const char *)data;
    switch (letter) {
    case 'm':
        return cf_matmul(b, x[0], CF_NO_VALUE, x[1], 3);
    case 'b':
        return cf_matmul(b, x[0], x[2], x[1], 3);
    case 't':
        return cf_matmul_transposed(b, x[0], x[1], 3);
    case 's':
        return cf_masked_matmul(b, x[0], CF_NO_VALUE, x[1], 3, &mask);
    case 'S':
        return cf_masked_matmul_transposed(b, x[0], x[1], 4, &mask);
    case 'g':
        return cf_grouped_matmul(b, cf_slice(b, x[0], 6, 12), x[2], x[1], 6, 2);
    case 'G':
        return cf_grouped_matmul_transposed(b, x[0], x[1], 4, 2);
    case 'B': /* the last columns of both matrices; a step between their rows */
        return cf_grouped_matmul(b, cf_block(b, cf_slice(b, x[0], 1, 11), 2, 0, 6, 1), CF_NO_VALUE,
                                 cf_slice(b, x[1], 0, 2), 6, 2);
    case 'r':
        return cf_multiply(b, cf_sum_samples(b, x[1]), cf_sum_samples(b, cf_exp(b, x[1])));
    case 'R':
        return cf_multiply(b, cf_broadcast_padded(b, x[0]), cf_exp(b, cf_broadcast(b, x[0])));
    case 'T':
        return cf_triangle(b, x[0], CF_NO_VALUE, 1.0, true);
    case 'D':
        return cf_triangle(b, x[0], cf_exp(b, cf_diagonal(b, x[0], 3)), 0.0, false);
    case 'M': /* of the first two columns */
        return cf_mask_matrix(b, cf_block(b, x[0], 3, 0, 3, 2), 2, entries, 3);
    case 'e':
        return cf_matrix_exponential(b, x[0], false);
    case 'p':
        return cf_matrix_product(b, x[0], cf_transpose(b, x[0], 3), 3, 3, 3);
    case 'P': /* [2, 4] and [4, 2] */
        return cf_matrix_product(b, cf_slice(b, x[0], 0, 8),
                                 cf_transpose(b, cf_slice(b, x[0], 1, 8), 2), 2, 4, 2);
    case 'd':
        return cf_log_abs_det(b, x[0]);
    case 'i':
    case 'I':
        inverse = cf_invert(b, x[0], &log_det);
        y = cf_solve(b, x[0], inverse, x[1], letter == 'I');
        return cf_concat(b, (cf_value[]){y, cf_broadcast(b, log_det)}, 2);
    default: /* '0' to '3' */
        return cf_solve_triangular(b, x[0], x[1], (letter - '0') & 1, (letter - '0') & 2);
    }
}

/* Large numbers of which each row has one, and zeros where a pivot would be without them. */
static void fill_matrices(const void *data, size_t row, double *const *operand) {
    (void)data;
    for (size_t i = 0; i < 3; i++)
        operand[0][i * 3 + (i + row) % 3] += 2;
    if (row % 3 == 1)
        operand[0][0] = 0;
}

/* Matrices that can be inverted: the identity, and more. */
static void add_identity(const void *data, size_t row, double *const *operand) {
    (void)data;
    for (size_t i = 0; i < 3 && row == 0; i++)
        operand[0][i * 4] += 2;
}

#define MATRIX(name, letter, inputs, outputs)                                                      \
    {                                                                                              \
        name, emit_matrix, letter,                                                                 \
            {SHARED((inputs) * (outputs), -1, 1), ROWS(inputs, -1, 1), SHARED(outputs, -1, 1)},    \
            NULL, false                                                                            \
    }
#define SOLVE(name, letter)                                                                        \
    {name, emit_matrix, letter, {SHARED(9, -0.6, 0.6), ROWS(3, -1, 1)}, add_identity, false}, {    \
        name " of pixels", emit_matrix, letter, {SHARED(9, -0.6, 0.6), ROWS(6, -1, 1)},            \
            add_identity, false                                                                    \
    }

/* The gradient of a matrix, as the op itself: of x^2 as a cotangent, 0 beyond the last row. */
static cf_value emit_outer_sum(cf_builder *b, const cf_value *x, const void *data) {
    cf_value rows = cf_broadcast_padded(b, cf_constant(b, CF_UNBATCHED, 2, 1.0));
    (void)data;
    return cf_outer_sum_samples(b, cf_multiply(b, rows, cf_multiply(b, x[0], x[0])),
                                cf_tanh(b, x[1]));
}

/* ---- images ---- */

typedef struct {
    cf_shape shape;
    size_t outputs, kernel;
    bool bias;
} convolution;

static cf_value emit_conv(cf_builder *b, const cf_value *x, const void *data) {
    const convolution *c = data;
    cf_value bias = c->bias ? x[2] : CF_NO_VALUE;
    return cf_conv(b, x[0], bias, x[1], c->shape, c->outputs, c->kernel);
}

static const convolution small = {{2, 3, 2, true}, 3, 3, true},
                         pointwise = {{3, 2, 2, true}, 2, 1, false},
                         winograd = {{17, 2, 2, true}, 17, 3, true};

static cf_value emit_squares_of_conv(cf_builder *b, const cf_value *x, const void *data) {
    cf_value y = emit_conv(b, x, data);
    return cf_multiply(b, y, y);
}

/* ---- discrete numbers ---- */

static cf_value emit_levels(cf_builder *b, const cf_value *x, const void *data) {
    switch (*(const char *)data) {
    case 'p':
        return cf_categorical_log_prob(b, x[0], x[1], 4);
    case 'd':
        return cf_categorical_draw(b, x[0], x[2], 4);
    case 'm':
        return cf_categorical_mean(b, x[0], 4);
    case 'a':
        return cf_argmax(b, x[0]);
    default:
        return cf_choose(b, cf_slice(b, x[2], 0, 1), x[0]);
    }
}

#define LEVELS(name, letter, zero)                                                                 \
    {                                                                                              \
        name, emit_levels, letter, {ROWS(8, -1, 1), WHOLE(2, -0.4, 3.4), ROWS(2, 0.1, 0.9)}, NULL, \
            zero                                                                                   \
    }

/* ---- maps ---- */

typedef struct {
    cf_logistic_mixture mixture;
    bool inverse;
} mixture_map;

static cf_value emit_mixture(cf_builder *b, const cf_value *x, const void *data) {
    const mixture_map *m = data;
    cf_value log_det, y;
    y = cf_logistic_mixture_map(b, &m->mixture, x[0], x[1], m->inverse, &log_det);
    return cf_concat(b, (cf_value[]){y, log_det}, 2);
}

#define MIXTURE(components, inverse)                                                               \
    {                                                                                              \
        inverse ? "mixture of logistics, inverse" : "mixture of logistics", emit_mixture,          \
            &(const mixture_map){{components, 2.0, 1e-3}, inverse},                                \
            {ROWS(2, -4, 4), ROWS(6 * components, -1.5, 1.5)}, NULL, false                         \
    }

typedef struct {
    cf_spline spline;
    bool inverse;
} spline_map;

static cf_value emit_spline(cf_builder *b, const cf_value *x, const void *data) {
    const spline_map *m = data;
    cf_value log_det, y;
    y = cf_spline_map(b, &m->spline, x[0], x[1], m->inverse, &log_det);
    return cf_concat(b, (cf_value[]){y, log_det}, 2);
}

/* Every fourth row beside the knots of bins of one size. */
static void fill_spline(const void *data, size_t row, double *const *operand) {
    const cf_spline *s = &((const spline_map *)data)->spline;
    double size = (s->high - s->low) / s->bins;
    if (row % 4 != 0)
        return;
    operand[0][0] = s->low + (double)(row / 4) * size + 5e-3;
    operand[0][1] = s->high - (double)(row / 4) * size - 5e-3;
    for (size_t k = 0; k < 2 * cf_spline_param_count(s); k++)
        operand[1][k] = 0.3; /* all alike; softclip has a kink at 0 */
}

#define CURVE(kind, bins, tails, form, inverse)                                                    \
    &(const spline_map) {                                                                          \
        {kind, bins, tails, form, -2, 3, 0.01, 0.05, 0.8}, inverse                                 \
    }
#define SPLINE(name, kind, bins, tails, form, params)                                              \
    {name,                                                                                         \
     emit_spline,                                                                                  \
     CURVE(kind, bins, tails, form, false),                                                        \
     {ROWS(2, -3, 4), ROWS(2 * (params), -1.5, 1.5)},                                              \
     fill_spline,                                                                                  \
     false},                                                                                       \
    {                                                                                              \
        name ", inverse", emit_spline, CURVE(kind, bins, tails, form, true),                       \
            {ROWS(2, -3, 4), ROWS(2 * (params), -1.5, 1.5)}, fill_spline, false                    \
    }
#define FORMS(name, bins, tails, params)                                                           \
    SPLINE(name, CF_RATIONAL_QUADRATIC_SPLINE, bins, tails, CF_SPLINE_SOFTMAX, params),            \
        SPLINE(name " by softclip", CF_RATIONAL_QUADRATIC_SPLINE, bins, tails, CF_SPLINE_SOFTCLIP, \
               params)

static const op_case cases[] = {
    UNARY(cf_exp, -2, 2),
    UNARY(cf_log, 0.3, 2),
    UNARY(cf_log1p, -0.7, 2),
    UNARY(cf_expm1, -2, 2),
    UNARY(cf_asinh, -2, 2),
    UNARY(cf_sqrt, 0.5, 2),
    UNARY(cf_sinh, -2, 2),
    UNARY(cf_tanh, -2, 2),
    UNARY(cf_sigmoid, -3, 3),
    UNARY(cf_softplus, -3, 3),
    UNARY(cf_relu, -2, 2),
    UNARY(cf_abs, -2, 2),
    UNARY(cf_elu, -2, 2),
    UNARY(cf_silu, -3, 3),
    UNARY(cf_gelu, -3, 3),
    UNARY(cf_log_normal_cdf, -5, 3),
    UNARY(cf_log_normal_hazard, -5, 3),
    UNARY(cf_normal_quantile_of_log, -9, -0.4),
    UNARY(cf_copy, -2, 2),
    {"floor", emit_unary, &(const unary){cf_floor}, {ROWS(3, -2, 2)}, NULL, true},
    {"detach", emit_unary, &(const unary){cf_detach}, {ROWS(3, -2, 2)}, NULL, true},
    {"unknown", emit_unary, &(const unary){cf_unknown}, {ROWS(3, -2, 2)}, NULL, true},
    BINARY(cf_add),
    BINARY(cf_subtract),
    BINARY(cf_multiply),
    BINARY(cf_divide),
    BINARY(cf_apply_scale),
    NUMBERED("cosine", "C", false),
    NUMBERED("softclip", "s", false),
    NUMBERED("leaky_relu", "l", false),
    NUMBERED("clamp", "c", false),
    NUMBERED("saturate", "S", false),
    NUMBERED("wrap", "w", false),
    NUMBERED("scale", "a", false),
    NUMBERED("dropout", "d", false),
    NUMBERED("add_noise", "n", false),
    NUMBERED("lambert_root", "U", false),
    SPECIAL("area of a normal", "n"),
    SPECIAL("density of a normal area", "N"),
    SPECIAL("area on a circle", "c"),
    SPECIAL("density on a circle", "C"),
    SPECIAL("area of a gamma", "g"),
    SPECIAL("density of a gamma area", "G"),
    SPECIAL("kl_div", "k"),
    SPECIAL("interior", "i"),
    SPECIAL("stirling of small numbers", "s"),
    SPECIAL("stirling", "S"),
    NUMBERED("scale_gradient", "W", false),
    NUMBERED("stated_gradient", "g", false),
    NUMBERED("where", "?", false),
    NUMBERED("advance", "h", false),
    NUMBERED("fixed affine", "f", false),
    NUMBERED("fixed affine input", "F", false),
    NUMBERED("fixed affine, inverse", "G", false),
    FIXED_MAP("log", 0.3, 2, true, {.kind = CF_MAP_EXP}),
    FIXED_MAP("exp", -2, 2, false, {.kind = CF_MAP_EXP}),
    FIXED_MAP("logit", -0.8, 2.8, true,
              {.kind = CF_MAP_SIGMOID, .low = -1, .high = 3, .rate = 0.7}),
    FIXED_MAP("sigmoid", -2, 2, false, {.kind = CF_MAP_SIGMOID, .low = -1, .high = 3, .rate = 0.7}),
    FIXED_MAP("inverse of tanh", -0.8, 0.8, true, {.kind = CF_MAP_TANH}),
    FIXED_MAP("tanh", -2, 2, false, {.kind = CF_MAP_TANH}),
    FIXED_MAP("inverse of softplus", 0.3, 2, true, {.kind = CF_MAP_SOFTPLUS}),
    FIXED_MAP("softplus", -2, 2, false, {.kind = CF_MAP_SOFTPLUS}),
    FIXED_MAP("arcsinh", -2, 2, true, {.kind = CF_MAP_SINH}),
    FIXED_MAP("sinh", -2, 2, false, {.kind = CF_MAP_SINH}),
    FIXED_MAP("scaled arcsinh", -2, 2, true, {.kind = CF_MAP_SCALED_SINH, .rate = 1.7}),
    FIXED_MAP("scaled sinh", -2, 2, false, {.kind = CF_MAP_SCALED_SINH, .rate = 1.7}),
    FIXED_MAP("root", 0.3, 2, true, {.kind = CF_MAP_POWER, .rate = 1.7}),
    FIXED_MAP("power", 0.3, 2, false, {.kind = CF_MAP_POWER, .rate = 1.7}),
    FIXED_MAP("inverse of softclip", 0.2, 1.2, true, {.kind = CF_MAP_SOFTCLIP, .high = 1.5}),
    FIXED_MAP("softclip", -2, -0.2, false, {.kind = CF_MAP_SOFTCLIP, .high = 1.5}),
    FIXED_MAP("circle", -2, 2, true, {.kind = CF_MAP_CIRCLE, .low = -1, .high = 1.2, .rate = 0.3}),
    FIXED_MAP("mobius", -2, 2, false, {.kind = CF_MAP_MOBIUS, .shift = 0, .scale = 3}),
    FIXED_MAP("inverse of mobius", -2, 2, true, {.kind = CF_MAP_MOBIUS, .shift = 0, .scale = 3}),
    BINARY(cf_where_possible),
    NUMBERED("greater_equal", ">", true),
    NUMBERED("log_indicator_integers", "i", true),
    NUMBERED("log_indicator", "I", true),
    {"sum_features", emit_features, "s", {ROWS(6, -2, 2)}, NULL, false},
    {"sum_groups", emit_features, "g", {ROWS(6, -2, 2)}, NULL, false},
    {"log_sum_exp", emit_features, "l", {ROWS(6, -2, 2)}, NULL, false},
    {"log_sum_exp of groups", emit_features, "L", {ROWS(6, -2, 2)}, NULL, false},
    {"log_sum_exp of unbatched", emit_features, "l", {SHARED(6, -2, 2)}, NULL, false},
    {"unit_vector", emit_features, "u", {ROWS(4, -2, 2)}, NULL, false},
    {"unit_vector, unbatched", emit_features, "u", {SHARED(4, -2, 2)}, NULL, false},
    {"normal_log_density", emit_features, "n", {ROWS(3, -2, 2)}, NULL, false},
    {"affine", emit_features, "a", {ROWS(2, -2, 2), ROWS(2, -1, 1), ROWS(2, -2, 2)}, NULL, false},
    {"affine, inverse",
     emit_features,
     "A",
     {ROWS(2, -2, 2), ROWS(2, -1, 1), ROWS(2, -2, 2)},
     NULL,
     false},
    MATRIX("matmul", "m", 4, 3),
    MATRIX("matmul with bias", "b", 4, 3),
    MATRIX("matmul, transposed", "t", 4, 3),
    MATRIX("matmul with a block-triangular mask", "s", 4, 3),
    MATRIX("matmul with a block-triangular mask, transposed", "S", 3, 4),
    MATRIX("grouped matmul", "g", 4, 6),
    MATRIX("grouped matmul, transposed", "G", 6, 2),
    MATRIX("grouped matmul of a block", "B", 4, 3),
    MATRIX("sum_samples", "r", 3, 3),
    MATRIX("broadcast and broadcast_padded", "R", 3, 3),
    MATRIX("triangle", "T", 3, 3),
    MATRIX("triangle with a diagonal", "D", 3, 3),
    MATRIX("mask of a matrix", "M", 3, 3),
    MATRIX("matrix exponential", "e", 3, 3),
    MATRIX("matrix product", "p", 3, 3),
    MATRIX("matrix product, rectangular", "P", 3, 3),
    {"log_abs_det", emit_matrix, "d", {ROWS(9, -0.6, 0.6)}, fill_matrices, false},
    {"log_abs_det of numbers", emit_matrix, "d", {ROWS(1, 0.5, 2)}, NULL, false},
    SOLVE("solve", "i"),
    SOLVE("solve, transposed", "I"),
    SOLVE("solve_triangular, lower", "0"),
    SOLVE("solve_triangular, upper", "1"),
    SOLVE("solve_triangular, lower transposed", "2"),
    SOLVE("solve_triangular, upper transposed", "3"),
    {"outer_sum_samples", emit_outer_sum, NULL, {ROWS(2, -1, 1), ROWS(3, -1, 1)}, NULL, false},
    {"conv",
     emit_squares_of_conv,
     &small,
     {SHARED(54, -1, 1), ROWS(12, -1, 1), SHARED(3, -1, 1)},
     NULL,
     false},
    {"conv of points",
     emit_squares_of_conv,
     &pointwise,
     {SHARED(6, -1, 1), ROWS(12, -1, 1)},
     NULL,
     false},
    {"conv by Winograd",
     emit_squares_of_conv,
     &winograd,
     {SHARED(2601, -0.2, 0.2), ROWS(68, -1, 1), SHARED(17, -1, 1)},
     NULL,
     false},
    LEVELS("categorical_log_prob", "p", false),
    LEVELS("categorical_draw", "d", true),
    LEVELS("categorical_mean", "m", true),
    LEVELS("choose", "c", true),
    LEVELS("argmax", "a", true),
    MIXTURE(1, false),
    MIXTURE(4, false),
    MIXTURE(4, true),
    FORMS("spline", 5, CF_TAILS_LINEAR, 14),
    FORMS("spline of one bin", 1, CF_TAILS_LINEAR, 2),
    FORMS("spline, circular", 5, CF_TAILS_CIRCULAR, 15),
    FORMS("spline, circular, of one bin", 1, CF_TAILS_CIRCULAR, 3),
    FORMS("spline, free", 5, CF_TAILS_FREE, 16),
    FORMS("spline, free, of one bin", 1, CF_TAILS_FREE, 4),
    SPLINE("linear spline", CF_LINEAR_SPLINE, 5, CF_TAILS_LINEAR, CF_SPLINE_SOFTMAX, 5),
    SPLINE("quadratic spline", CF_QUADRATIC_SPLINE, 5, CF_TAILS_LINEAR, CF_SPLINE_SOFTMAX, 9),
    SPLINE("quadratic spline, one bin", CF_QUADRATIC_SPLINE, 1, CF_TAILS_LINEAR, CF_SPLINE_SOFTMAX,
           1),
    SPLINE("quadratic spline, free", CF_QUADRATIC_SPLINE, 5, CF_TAILS_FREE, CF_SPLINE_SOFTMAX, 11),
    SPLINE("quadratic spline, free, one bin", CF_QUADRATIC_SPLINE, 1, CF_TAILS_FREE,
           CF_SPLINE_SOFTMAX, 3),
    SPLINE("cubic spline", CF_CUBIC_SPLINE, 5, CF_TAILS_LINEAR, CF_SPLINE_SOFTMAX, 12),
    SPLINE("cubic spline, one bin", CF_CUBIC_SPLINE, 1, CF_TAILS_LINEAR, CF_SPLINE_SOFTMAX, 4),
    SPLINE("cubic spline, free", CF_CUBIC_SPLINE, 5, CF_TAILS_FREE, CF_SPLINE_SOFTMAX, 12),
};

#endif
