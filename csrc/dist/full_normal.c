/* The normal with any covariance, by its Cholesky factor. */
#include <math.h>

#include "base/cholesky.h"
#include "base/memory.h"
#include "dist/base.h"
#include "ops/ops.h"

typedef struct {
    size_t loc, weight, log_diagonal; /* parameters */
} full_normal_state;

/* The factor of the covariance that is given, or the identity. */
static cf_status fill_factor(const cf_base *base, double *factor) {
    const cf_setting *covariance = cf_spec_get(base->spec, "covariance");
    size_t n = base->features;
    if (covariance->kind == CF_NONE) {
        for (size_t i = 0; i < n; i++)
            factor[i * (n + 1)] = 1.0;
        return CF_OK;
    }
    if (covariance->count != n * n)
        return cf_fail(CF_INVALID,
                       "FullNormal: covariance has %zu numbers, %zu features need %zu, row by row",
                       covariance->count, n, n * n);
    for (size_t i = 0; i < n * n; i++) {
        const double *given = covariance->reals;
        double mirrored = given[i % n * n + i / n];
        double spread = sqrt(fabs(given[i / n * (n + 1)] * given[i % n * (n + 1)]));
        factor[i] = given[i];
        if (!(fabs(factor[i] - mirrored) <= 1e-9 * spread))
            return cf_fail(CF_INVALID,
                           "FullNormal: covariance must be symmetric, got %g and %g "
                           "at (%zu, %zu)",
                           factor[i], mirrored, i / n, i % n);
    }
    if (!cf_cholesky(factor, n))
        return cf_fail(CF_INVALID, "FullNormal: covariance must be positive definite");
    return CF_OK;
}

static cf_status bind_loc(cf_base *base, cf_binding *binding, full_normal_state *state) {
    const cf_setting *loc = cf_spec_get(base->spec, "loc");
    if (loc->kind == CF_NONE || loc->count == 1)
        return cf_bind_parameter_constant(binding, "loc", base->features,
                                          loc->kind == CF_NONE ? 0.0 : loc->reals[0], &state->loc);
    if (loc->count != base->features)
        return cf_fail(CF_INVALID, "FullNormal: loc has %zu numbers, the flow has %zu features",
                       loc->count, base->features);
    return cf_bind_parameter_values(binding, "loc", base->features, loc->reals, &state->loc);
}

/* `weight` has what lies below the diagonal; the logarithms of the diagonal are beside it. */
static cf_status bind_factor(cf_base *base, cf_binding *binding, full_normal_state *state,
                             double *factor, double *log_diagonal, bool learned) {
    size_t n = base->features;
    CF_TRY(fill_factor(base, factor));
    for (size_t i = 0; i < n; i++) {
        log_diagonal[i] = log(factor[i * (n + 1)]);
        for (size_t j = i; j < n; j++)
            factor[i * n + j] = 0.0;
    }
    CF_TRY(cf_bind_matrix_values(binding, "weight", n, n, factor, &state->weight));
    if (!learned)
        cf_bind_freeze_last(binding);
    CF_TRY(
        cf_bind_parameter_values(binding, "log_diagonal", n, log_diagonal, &state->log_diagonal));
    if (!learned)
        cf_bind_freeze_last(binding);
    return CF_OK;
}

static cf_status bind(cf_base *base, cf_binding *binding) {
    bool learned = cf_spec_int(base->spec, "learned") != 0;
    size_t n = base->features, numbers;
    full_normal_state *state;
    double *factor;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    CF_TRY(bind_loc(base, binding, state));
    if (!learned)
        cf_bind_freeze_last(binding);
    if (!cf_size_mul(n + 1, n, &numbers))
        return cf_fail(CF_NO_MEMORY, "FullNormal: too many features");
    CF_TRY(cf_alloc(&factor, numbers, sizeof *factor));
    cf_status status = bind_factor(base, binding, state, factor, factor + n * n, learned);
    cf_free(factor);
    return status;
}

static cf_value emit_factor(const cf_base *base, cf_builder *b, cf_value *log_diagonal) {
    const full_normal_state *state = base->state;
    size_t n = base->features;
    *log_diagonal = cf_parameter(b, state->log_diagonal, n);
    return cf_triangle(b, cf_parameter(b, state->weight, n * n), cf_exp(b, *log_diagonal), 0.0,
                       false);
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const full_normal_state *state = base->state;
    cf_value log_diagonal, factor = emit_factor(base, b, &log_diagonal);
    cf_value centred = cf_subtract(b, u, cf_parameter(b, state->loc, base->features));
    cf_value z = cf_solve_triangular(b, factor, centred, false, false);
    (void)context;
    return cf_subtract(b, cf_normal_log_density(b, z), cf_sum_features(b, log_diagonal));
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    const full_normal_state *state = base->state;
    size_t n = base->features;
    cf_value log_diagonal, factor = emit_factor(base, b, &log_diagonal);
    (void)context;
    return cf_matmul(b, factor, cf_parameter(b, state->loc, n),
                     cf_random_normal_samples(b, n, stream), n);
}

static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    const full_normal_state *state = base->state;
    (void)context;
    return (cf_components){.loc = cf_parameter(b, state->loc, 1),
                           .log_scale = cf_parameter(b, state->log_diagonal, 1)};
}

static const cf_base_methods methods = {bind, log_prob, sample, components};

static const cf_option options[] = {
    {.name = "loc",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "The mean, one number or one a feature; None is 0."},
    {.name = "covariance",
     .kinds = CF_OPTION_REALS | CF_OPTIONAL | CF_MATRIX | CF_SQUARE,
     .default_value = CF_DEFAULT_NONE,
     .doc = "A symmetric positive definite matrix, or its rows one after the other; None is the "
            "identity."},
    {.name = "learned",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(1),
     .doc = "Whether mean and factor are trained from there; else they are parameters that start "
            "frozen."},
};

const cf_spec_type cf_full_normal_type = {
    .name = "FullNormal",
    .role = "base",
    .doc = "Normal distribution with any covariance ``L L^T``.\n\n"
           "``u = L z + loc``, ``log_prob(u) = -|z|^2 / 2 - sum_i log(L_ii) - features log(2 pi) "
           "/ 2``; the\n"
           "lower triangular ``L`` has `base.weight` below and the exponentials of "
           "`base.log_diagonal` on its\ndiagonal.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
