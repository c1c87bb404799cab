/* A positive matrix of few parameters: a diagonal, and the identity plus one of low rank. */
#include <math.h>

#include "layers/layer.h"
#include "layers/positive_scale.h"
#include "ops/ops.h"

typedef struct {
    size_t rank, factors, scale, shift; /* parameters, after the rank */
    const cf_spec *form;
} low_rank_state;

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    int64_t rank = cf_spec_int(layer->spec, "rank");
    size_t n = layer->features;
    low_rank_state *state;
    cf_spec *form;
    double start;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->rank = (size_t)rank;
    if (state->rank > n)
        return cf_fail(CF_INVALID,
                       "LowRank: rank must be at most %zu, as many as there are features, got %lld",
                       n, (long long)rank);
    CF_TRY(cf_positive_scale_spec(cf_spec_get(layer->spec, "scale"), &form));
    CF_TRY(cf_binding_keep(binding, form));
    state->form = form;
    CF_TRY(cf_positive_scale_param_of_one(form, &start));
    CF_TRY(cf_bind_parameter(binding, "factors", 2, (size_t[]){state->rank, n},
                             0.1 / sqrt((double)n), &state->factors));
    CF_TRY(cf_bind_parameter_constant(binding, "scale", n, start, &state->scale));
    return cf_bind_parameter(binding, "shift", 1, &n, 0.0, &state->shift);
}

/* Row k of the identity with the factor k behind it: a column of the matrix [I; V] of V = factors^T
 * whose QR decomposition is sought. */
static cf_value emit_column(const low_rank_state *state, cf_builder *b, cf_value factors, size_t k,
                            size_t n) {
    cf_value before = CF_NO_VALUE, after = CF_NO_VALUE;
    if (k > 0)
        before = cf_constant(b, CF_UNBATCHED, k, 0.0);
    if (k + 1 < state->rank)
        after = cf_constant(b, CF_UNBATCHED, state->rank - k - 1, 0.0);
    cf_value one = cf_constant(b, CF_UNBATCHED, 1, 1.0);
    return cf_concat(b, (cf_value[]){before, one, after, cf_slice(b, factors, k * n, n)}, 4);
}

/* With [I; V] = [P; Q] R of orthonormal columns, the determinant of I + V^T V is that of R^2 (the
 * matrix determinant lemma: that of I + V V^T, too), and the inverse of I + V V^T is I - Q Q^T
 * (Woodbury). Gram and Schmidt's method gives them without the products V^T V, which lose what is
 * small beside their largest numbers; the diagonal of R is at least 1.
 *
 * Returns Q, a row a factor; *log_det is the logarithm of that determinant. */
static cf_value decompose(const low_rank_state *state, cf_builder *b, cf_value factors, size_t n,
                          cf_value *log_det) {
    size_t size = state->rank + n;
    cf_value done = CF_NO_VALUE, bottom = CF_NO_VALUE, sum = CF_NO_VALUE;
    for (size_t k = 0; k < state->rank && cf_builder_status(b) == CF_OK; k++) {
        cf_value column = emit_column(state, b, factors, k, n);
        for (size_t j = 0; j < k; j++) {
            cf_value q = cf_slice(b, done, j * size, size);
            cf_value along = cf_sum_features(b, cf_multiply(b, q, column));
            column = cf_subtract(b, column, cf_multiply(b, q, along));
        }
        cf_value q = cf_unit_vector(b, column);
        cf_value length = cf_sum_features(b, cf_multiply(b, q, column));
        sum = cf_add_optional(b, sum, cf_log(b, length));
        done = cf_concat(b, (cf_value[]){done, q}, 2);
        bottom = cf_concat(b, (cf_value[]){bottom, cf_slice(b, q, state->rank, n)}, 2);
    }
    *log_det = cf_scale_shift(b, sum, 2.0, 0.0);
    return cf_contiguous(b, bottom);
}

/* F^T F x, of F with a row a factor. */
static cf_value apply_twice(const low_rank_state *state, cf_builder *b, cf_value rows, cf_value x,
                            size_t n) {
    cf_value inner = cf_matmul(b, rows, CF_NO_VALUE, x, state->rank);
    return cf_matmul_transposed(b, rows, inner, n);
}

static cf_value log_scale(const cf_layer *layer, cf_builder *b) {
    const low_rank_state *state = layer->state;
    return cf_log_scale(b, state->form, cf_parameter(b, state->scale, layer->features));
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const low_rank_state *state = layer->state;
    size_t n = layer->features;
    cf_value factors = cf_parameter(b, state->factors, state->rank * n), of_scale;
    (void)context;
    decompose(state, b, factors, n, log_det);
    u = cf_add(b, u, apply_twice(state, b, factors, u, n));
    cf_value shift = cf_parameter(b, state->shift, n);
    cf_value x = cf_affine(b, u, log_scale(layer, b), shift, false, &of_scale);
    *log_det = cf_add(b, *log_det, of_scale);
    return x;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const low_rank_state *state = layer->state;
    size_t n = layer->features;
    cf_value factors = cf_parameter(b, state->factors, state->rank * n), of_scale;
    cf_value shift = cf_parameter(b, state->shift, n);
    (void)context;
    cf_value q = decompose(state, b, factors, n, log_det);
    x = cf_affine(b, x, log_scale(layer, b), shift, true, &of_scale);
    *log_det = cf_subtract(b, of_scale, *log_det);
    return cf_subtract(b, x, apply_twice(state, b, q, x, n));
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_range ranks = {1.0, 1024.0, false, false};

static const cf_option options[] = {
    {.name = "rank",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(1),
     .range = &ranks,
     .doc = "How many factors, at most as many as there are features."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("exp"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained diagonal becomes positive: a form of `Scale`, or a `Scale`."},
};

const cf_spec_type cf_low_rank_type = {
    .name = "LowRank",
    .role = "layer",
    .doc =
        "A linear map of few parameters that mixes all features: a diagonal plus a matrix of low "
        "rank.\n\n"
        "``x = D (I + V V^T) u + shift``, that is ``D + U V^T`` with ``U = D V``. The rows of the "
        "parameter ``factors``\nare the columns of V, and the diagonal D is positive, by `scale`: "
        "D times a positive definite matrix is\ninvertible whatever the weights are, where ``D + "
        "U V^T`` of any U may be singular. ``log_det = sum(log(D)) +\nlog(det(I + V^T V))`` by the "
        "matrix determinant lemma. The inverse, ``I - Q Q^T`` by Woodbury's identity, and\nthe "
        "determinant come from a QR decomposition. Directions are stretched, never shortened, "
        "beside D; an\n`Inverse` shortens them, and a `Householder` or `Rotation` turns them. A "
        "new layer is near the identity. Of\nimages all numbers are one vector.\n\n"
        "References\n----------\n"
        "Woodbury 1950, Inverting modified matrices, Statistical Research Group memorandum 42.\n"
        "Harville 1997, Matrix algebra from a statistician's perspective, sections 18.1 and 18.2.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
