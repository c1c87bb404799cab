/* Sylvester flows: several bends at once, with a triangular Jacobian in an orthonormal frame (van
 * den Berg et al. 2018). */
#include <math.h>

#include "base/memory.h"
#include "layers/amortized.h"
#include "layers/householder.h"
#include "layers/tanh_map.h"
#include "ops/ops.h"

enum { R, R_TILDE, DIAGONAL, DIAGONAL_TILDE, B, VECTORS, PARTS };

typedef struct {
    cf_amortized params;
    size_t columns, reflections;
} sylvester_state;

/* What the formula is made of. The diagonals are those of R and R~. */
typedef struct {
    cf_value vectors, r, r_tilde, diagonal, diagonal_tilde, b;
    cf_tanh_map along; /* p = the product of the diagonals, and c = 1 + p */
} sylvester_terms;

/* Unconstrained diagonals beyond count as these: 1 - tanh(a)^2 is still a number in float32. */
static const double max_diagonal = 40.0;

/* R = 0: the identity, which R leaves at the first step since R~ is not 0. */
static void choose_start(const sylvester_state *state, double *start, size_t features,
                         const cf_binding *binding) {
    size_t m = state->columns;
    double *tilde = start + 2 * m * m + m, *vectors = start + 2 * m * m + 3 * m;
    for (size_t i = 0; i < m; i++)
        tilde[i] = 1.0;
    cf_random_start(vectors, state->reflections * features, 1.0, binding, 0);
}

static cf_status read_sizes(sylvester_state *state, const cf_layer *layer) {
    const cf_setting *columns = cf_spec_get(layer->spec, "columns");
    const cf_setting *reflections = cf_spec_get(layer->spec, "reflections");
    size_t n = layer->features;
    state->columns = columns->kind == CF_NONE ? n : (size_t)columns->integers[0];
    state->reflections =
        reflections->kind == CF_NONE ? state->columns : (size_t)reflections->integers[0];
    if (state->columns > n)
        return cf_fail(
            CF_INVALID,
            "Sylvester: columns must be at most %zu, as many as there are features, got %zu", n,
            state->columns);
    return CF_OK;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    size_t n = layer->features, total;
    sylvester_state *state;
    double *start;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    CF_TRY(read_sizes(state, layer));
    size_t m = state->columns, parts = state->reflections > 0 ? PARTS : PARTS - 1;
    const cf_part part[PARTS] = {[R] = {"R", m, m},
                                 [R_TILDE] = {"R_tilde", m, m},
                                 [DIAGONAL] = {"diagonal", m, 0},
                                 [DIAGONAL_TILDE] = {"diagonal_tilde", m, 0},
                                 [B] = {"b", m, 0},
                                 [VECTORS] = {"vectors", state->reflections, n}};
    if (!cf_parts_size(part, parts, &total))
        return cf_fail(CF_INVALID, "Sylvester: too many parameters");
    CF_TRY(cf_alloc(&start, total, sizeof *start));
    choose_start(state, start, n, binding);
    cf_status status = cf_amortized_bind(&state->params, layer, binding, part, parts, start);
    cf_free(start);
    return status;
}

/* 1 + tanh(a) tanh(b) as 2 (sigmoid(2 a) sigmoid(2 b) + sigmoid(-2 a) sigmoid(-2 b)). */
static cf_value one_plus_product(cf_builder *b, cf_value x, cf_value y) {
    cf_value terms[2];
    for (int i = 0; i < 2; i++) {
        double sign = i == 0 ? 2.0 : -2.0;
        terms[i] = cf_multiply(b, cf_sigmoid(b, cf_scale_shift(b, x, sign, 0.0)),
                               cf_sigmoid(b, cf_scale_shift(b, y, sign, 0.0)));
    }
    return cf_scale_shift(b, cf_add(b, terms[0], terms[1]), 2.0, 0.0);
}

static sylvester_terms read_terms(const cf_layer *layer, cf_builder *b, cf_value context) {
    const sylvester_state *state = layer->state;
    cf_value part[PARTS] = {[VECTORS] = CF_NO_VALUE}, diagonal[2];
    cf_amortized_emit(&state->params, b, context, part);
    for (int i = 0; i < 2; i++)
        diagonal[i] = cf_clamp(b, part[DIAGONAL + i], -max_diagonal, max_diagonal);
    sylvester_terms terms = {.vectors = part[VECTORS],
                             .r = part[R],
                             .r_tilde = part[R_TILDE],
                             .diagonal = cf_tanh(b, diagonal[0]),
                             .diagonal_tilde = cf_tanh(b, diagonal[1]),
                             .b = part[B]};
    terms.along = (cf_tanh_map){.p = cf_multiply(b, terms.diagonal, terms.diagonal_tilde),
                                .c = one_plus_product(b, diagonal[0], diagonal[1])};
    return terms;
}

/* Q^T z: the first of z's features after the reflections, backwards. */
static cf_value to_frame(const cf_layer *layer, cf_builder *b, const sylvester_terms *terms,
                         cf_value z) {
    const sylvester_state *state = layer->state;
    z = cf_reflect(b, terms->vectors, state->reflections, z, cf_vector(layer->features), true);
    return cf_slice(b, z, 0, state->columns);
}

/* Q y. */
static cf_value from_frame(const cf_layer *layer, cf_builder *b, const sylvester_terms *terms,
                           cf_value y) {
    const sylvester_state *state = layer->state;
    size_t rest = layer->features - state->columns;
    if (rest > 0)
        y = cf_concat(b, (cf_value[]){y, cf_constant(b, CF_BATCHED, rest, 0.0)}, 2);
    return cf_reflect(b, terms->vectors, state->reflections, y, cf_vector(layer->features), false);
}

/* The product of row i of a matrix, right of the diagonal, and the last of the `columns` numbers.
 */
static cf_value row_product(const sylvester_state *state, cf_builder *b, cf_value matrix, size_t i,
                            cf_value last) {
    size_t m = state->columns;
    return cf_dot(b, cf_slice(b, matrix, i * m + i + 1, m - i - 1), last);
}

/* T x of an upper triangular matrix given by what is right of the diagonal, and the diagonal. */
static cf_value multiply_upper(const sylvester_state *state, cf_builder *b, cf_value matrix,
                               cf_value diagonal, cf_value x) {
    size_t m = state->columns;
    cf_value out = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_value_kind(b, matrix) == CF_UNBATCHED)
        return cf_matmul(b, cf_triangle(b, matrix, diagonal, 0.0, true), CF_NO_VALUE, x, m);
    for (size_t i = 0; i + 1 < m; i++) {
        cf_value product = row_product(state, b, matrix, i, cf_slice(b, x, i + 1, m - i - 1));
        out = cf_concat(b, (cf_value[]){out, product}, 2);
    }
    out = cf_concat(b, (cf_value[]){out, cf_constant(b, CF_BATCHED, 1, 0.0)}, 2);
    return cf_add(b, out, cf_multiply(b, diagonal, x));
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const sylvester_state *state = layer->state;
    sylvester_terms t = read_terms(layer, b, context);
    cf_value v = to_frame(layer, b, &t, u);
    cf_value s = cf_add(b, multiply_upper(state, b, t.r_tilde, t.diagonal_tilde, v), t.b);
    cf_value g = multiply_upper(state, b, t.r, t.diagonal, cf_tanh(b, s));
    *log_det = cf_sum_features(b, cf_tanh_map_log_slope(b, &t.along, s));
    return cf_add(b, u, from_frame(layer, b, &t, g));
}

/* One component of v + R tanh(s) = y with s = R~ v + b, those after it being known: with the sums d
 * and e over these, v_i + r_i tanh(s_i) = y_i - d and s_i = r~_i v_i + e, so that s_i + r~_i r_i
 * tanh(s_i) = r~_i (y_i - d) + e. */
typedef struct {
    cf_value v, tanh_s, g, s; /* of all components so far; g = R tanh(s) */
} solved;

static void solve_component(const sylvester_state *state, cf_builder *b, const sylvester_terms *t,
                            cf_value y, size_t i, solved *known) {
    cf_value r = cf_slice(b, t->diagonal, i, 1), r_tilde = cf_slice(b, t->diagonal_tilde, i, 1);
    cf_value rest = cf_slice(b, y, i, 1), d = CF_NO_VALUE, e = cf_slice(b, t->b, i, 1);
    cf_tanh_map along = {cf_slice(b, t->along.p, i, 1), cf_slice(b, t->along.c, i, 1)};
    if (i + 1 < state->columns) {
        d = row_product(state, b, t->r, i, known->tanh_s);
        e = cf_add(b, e, row_product(state, b, t->r_tilde, i, known->v));
        rest = cf_subtract(b, rest, d);
    }
    cf_value target = cf_add(b, cf_multiply(b, r_tilde, rest), e);
    cf_value s = cf_tanh_map_root(b, &along, target), tanh_s = cf_tanh(b, s);
    cf_value own = cf_multiply(b, r, tanh_s);
    known->v = cf_concat(b, (cf_value[]){cf_subtract(b, rest, own), known->v}, 2);
    known->g = cf_concat(b, (cf_value[]){cf_add_optional(b, own, d), known->g}, 2);
    known->tanh_s = cf_concat(b, (cf_value[]){tanh_s, known->tanh_s}, 2);
    known->s = cf_concat(b, (cf_value[]){s, known->s}, 2);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const sylvester_state *state = layer->state;
    sylvester_terms t = read_terms(layer, b, context);
    cf_value y = to_frame(layer, b, &t, x);
    solved known = {CF_NO_VALUE, CF_NO_VALUE, CF_NO_VALUE, CF_NO_VALUE};
    for (size_t i = state->columns; i-- > 0 && cf_builder_status(b) == CF_OK;)
        solve_component(state, b, &t, y, i, &known);
    cf_value log_slope = cf_tanh_map_log_slope(b, &t.along, known.s);
    *log_det = cf_scale_shift(b, cf_sum_features(b, log_slope), -1.0, 0.0);
    return cf_subtract(b, x, from_frame(layer, b, &t, known.g));
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_range counts = {1.0, 65536.0, false, false};
static const cf_range counts_or_none = {0.0, 65536.0, false, false};

static const cf_option options[] = {
    {.name = "columns",
     .kinds = CF_OPTION_INT | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .range = &counts,
     .doc = "M, how many columns Q has; None is as many as there are features."},
    {.name = "reflections",
     .kinds = CF_OPTION_INT | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .range = &counts_or_none,
     .doc = "How many Householder reflections make Q. None is one a column, enough for any; 0 "
            "makes Q the first columns of the identity."},
    CF_AMORTIZED_OPTIONS,
};

const cf_spec_type cf_sylvester_type = {
    .name = "Sylvester",
    .role = "layer",
    .doc =
        "Sylvester flow: bends along several directions at once.\n\n"
        "``x = u + Q R tanh(R~ Q^T u + b)``. Q has M orthonormal columns, the first of the "
        "product of reflections at\nthe rows of ``vectors``, as `Householder` has. R and R~ are "
        "upper triangular: what is right of the diagonal of\n``R`` and ``R_tilde``, and "
        "``tanh(diagonal)`` and ``tanh(diagonal_tilde)``, whose products ``p`` are above -1 and\n"
        "keep it invertible whatever the parameters are (diagonals beyond 40 count as 40). "
        "``log_det = sum(log(1 +\np tanh'(R~ Q^T u + b)))``. The inverse solves the M "
        "components of ``Q^T u`` one after the other, from\nthe last on, by Newton's method "
        "and bisection to the last digits of the dtype.\n\n"
        "Orthogonal Sylvester flows have fewer columns than features, Householder ones all "
        "columns and a number of\nreflections, triangular ones no reflections and a "
        "`Permutation` between the layers. A new layer is the\nidentity. The parameters are "
        "learned; in a flow with context they are functions of it. Of images all\nnumbers are one "
        "vector.\n\n"
        "References\n----------\n"
        "van den Berg et al. 2018, Sylvester normalizing flows for variational inference, "
        "arXiv:1803.05649,\nequations 13 to 19.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_network_check,
    .methods = &methods,
};
