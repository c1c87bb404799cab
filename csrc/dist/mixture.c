/* A mixture of normals, learned or set by a network from the context.
 *
 * Numbers of all components lie feature by feature, [features, components], so that an op acts on
 * all components at once. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "dist/mixture.h"
#include "ops/ops.h"

static const char *const covariance_types[] = {"spherical", "diagonal", "tied", "full", NULL};
static const char *const starts[] = {"kmeans", "random", NULL};

/* ---- parameters ---- */

static cf_status bind_one(const cf_base *base, cf_binding *binding, const char *name, size_t dims,
                          const size_t *shape, double bound, size_t *offset) {
    CF_TRY(cf_bind_parameter(binding, name, dims, shape, bound, offset));
    if (cf_spec_int(base->spec, "learned") == 0)
        cf_bind_freeze_last(binding);
    return CF_OK;
}

static cf_status bind_values(cf_base *base, cf_binding *binding, cf_mixture *state) {
    size_t k = state->components, n = base->features, triangle = cf_triangle_size(n);
    bool tied = state->covariance == CF_MIXTURE_TIED, has_lower = state->lowers > 0;
    CF_TRY(bind_one(base, binding, "logits", 1, &k, 0.0, &state->logits));
    CF_TRY(bind_one(base, binding, "loc", 2, (size_t[]){k, n}, k > 1 ? 2.0 : 0.0, &state->loc));
    if (tied)
        CF_TRY(bind_one(base, binding, "log_scale", 1, &n, 0.0, &state->log_scale));
    else
        CF_TRY(bind_one(base, binding, "log_scale",
                        state->covariance == CF_MIXTURE_SPHERICAL ? 1 : 2, (size_t[]){k, n}, 0.0,
                        &state->log_scale));
    if (has_lower && tied)
        return bind_one(base, binding, "lower", 1, &triangle, 0.0, &state->lower);
    return has_lower
               ? bind_one(base, binding, "lower", 2, (size_t[]){k, triangle}, 0.0, &state->lower)
               : CF_OK;
}

/* The numbers of lower are row by row. */
static cf_status order_columns(const cf_base *base, cf_binding *binding, cf_mixture *state) {
    size_t k = state->components, n = base->features, size, at = 0;
    if (state->lowers == 0)
        return CF_OK;
    if (!cf_size_mul(cf_triangle_size(n), k, &size))
        return cf_fail(CF_NO_MEMORY, "Mixture: too many components");
    CF_TRY(cf_arena_alloc(binding->arena, &state->columns, size, sizeof *state->columns));
    for (size_t j = 0; j < n; j++)
        for (size_t i = j + 1; i < n; i++)
            for (size_t c = 0; c < k; c++) {
                size_t first = state->covariance == CF_MIXTURE_TIED ? 0 : c * cf_triangle_size(n);
                state->columns[at++] = (int64_t)(first + cf_triangle_size(i) + j);
            }
    return CF_OK;
}

static cf_status count_numbers(const cf_base *base, cf_mixture *state, size_t *numbers) {
    size_t k = state->components, n = base->features, all, scales, triangle;
    bool dense = state->covariance == CF_MIXTURE_TIED || state->covariance == CF_MIXTURE_FULL;
    if (!cf_size_mul(n, n, &triangle) || !cf_size_mul(k, n, &scales) ||
        !cf_size_mul(k, 2 * n + 1 + (dense ? triangle : 0), &all))
        return cf_fail(CF_NO_MEMORY, "Mixture: too many components");
    state->scales = state->covariance == CF_MIXTURE_SPHERICAL ? k
                    : state->covariance == CF_MIXTURE_TIED    ? n
                                                              : scales;
    state->lowers =
        dense ? (state->covariance == CF_MIXTURE_TIED ? 1 : k) * cf_triangle_size(n) : 0;
    *numbers = k + scales + state->scales + state->lowers;
    return CF_OK;
}

static cf_status bind(cf_base *base, cf_binding *binding) {
    const cf_spec *conditioner = cf_spec_spec(base->spec, "conditioner");
    size_t numbers = 0;
    cf_mixture *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    state->components = (size_t)cf_spec_int(base->spec, "components");
    state->features = base->features;
    while (strcmp(covariance_types[state->covariance],
                  cf_spec_string(base->spec, "covariance_type")) != 0)
        state->covariance++;
    state->minimum_scale = cf_spec_real(base->spec, "minimum_scale");
    state->kmeans = strcmp(cf_spec_string(base->spec, "start"), "kmeans") == 0;
    state->conditional = conditioner != NULL;
    CF_TRY(count_numbers(base, state, &numbers));
    CF_TRY(bind_values(base, binding, state));
    CF_TRY(order_columns(base, binding, state));
    if (!state->conditional)
        return CF_OK;
    if (base->context == 0)
        return cf_fail(CF_INVALID,
                       "Mixture: a conditioner reads the context, and the flow has none");
    return cf_conditioner_bind(&state->conditioner, conditioner, binding, "conditioner",
                               (cf_conditioner_sizes){.context = cf_vector(base->context),
                                                      .outputs = numbers,
                                                      .groups = 1},
                               true);
}

/* ---- the numbers of all components ---- */

typedef struct {
    cf_value log_weight;     /* [K] */
    cf_value loc, log_scale; /* [features, K] */
    cf_value lower;          /* below the diagonal, column by column, K each; or CF_NO_VALUE */
} mixture_numbers;

/* A parameter, and the next outputs of the network, if there is one, added to it. */
static cf_value next_numbers(cf_builder *b, size_t offset, size_t count, cf_value outputs,
                             size_t *first) {
    cf_value numbers = cf_parameter(b, offset, count);
    *first += count;
    return cf_is_none(outputs) ? numbers
                               : cf_add(b, cf_slice(b, outputs, *first - count, count), numbers);
}

/* log(exp(log_scale) + minimum_scale), which overflows nowhere. */
static cf_value bounded_below(cf_builder *b, cf_value log_scale, double minimum_scale) {
    if (minimum_scale == 0.0)
        return log_scale;
    double low = log(minimum_scale);
    return cf_scale_shift(b, cf_softplus(b, cf_scale_shift(b, log_scale, 1.0, -low)), 1.0, low);
}

static cf_value spread_scales(const cf_mixture *state, cf_builder *b, cf_value log_scale) {
    switch (state->covariance) {
    case CF_MIXTURE_SPHERICAL:
        return cf_repeat_whole(b, log_scale, state->features);
    case CF_MIXTURE_TIED:
        return cf_repeat_each(b, log_scale, state->components);
    default:
        return cf_transpose(b, log_scale, state->components);
    }
}

static mixture_numbers emit_numbers(const cf_base *base, cf_builder *b, cf_value context) {
    const cf_mixture *state = base->state;
    size_t k = state->components, first = 0;
    mixture_numbers out = {.lower = CF_NO_VALUE};
    cf_value outputs = CF_NO_VALUE;
    if (state->conditional)
        outputs = cf_conditioner_emit(&state->conditioner, b, CF_NO_VALUE, context);
    cf_value logits = next_numbers(b, state->logits, k, outputs, &first);
    cf_value loc = next_numbers(b, state->loc, k * state->features, outputs, &first);
    cf_value log_scale = next_numbers(b, state->log_scale, state->scales, outputs, &first);
    out.log_weight = cf_subtract(b, logits, cf_log_sum_exp(b, logits));
    out.loc = cf_transpose(b, loc, k);
    log_scale = bounded_below(b, log_scale, state->minimum_scale);
    out.log_scale = spread_scales(state, b, log_scale);
    if (state->lowers > 0) {
        cf_value lower = next_numbers(b, state->lower, state->lowers, outputs, &first);
        out.lower = cf_select(b, lower, state->columns, cf_triangle_size(state->features) * k);
    }
    return out;
}

/* ---- density and samples ---- */

/* z of L z = x for all components, by forward substitution: column after column of L. */
static cf_value solve(const cf_mixture *state, cf_builder *b, const mixture_numbers *numbers,
                      cf_value x, cf_value inverse_scale) {
    size_t k = state->components, n = state->features, at = 0;
    cf_value all = CF_NO_VALUE;
    for (size_t j = 0; j < n && cf_builder_status(b) == CF_OK; j++) {
        size_t rest = n - 1 - j;
        cf_value inverse = cf_slice(b, inverse_scale, j * k, k);
        cf_value z = cf_saturate(b, cf_apply_scale(b, cf_slice(b, x, 0, k), inverse));
        all = cf_concat(b, (cf_value[]){all, z}, 2);
        if (rest == 0)
            break;
        cf_value column = cf_slice(b, numbers->lower, at, rest * k);
        cf_value known = cf_multiply(b, column, cf_repeat_whole(b, z, rest));
        x = cf_subtract(b, cf_slice(b, x, k, rest * k), known);
        at += rest * k;
    }
    return all;
}

/* A component that is too narrow for the dtype, or a point too far out for it, has the density 0;
 * the others count, and gradients are theirs. */
static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const cf_mixture *state = base->state;
    size_t k = state->components, n = state->features;
    mixture_numbers numbers = emit_numbers(base, b, context);
    cf_value inverse_scale = cf_exp(b, cf_scale_shift(b, numbers.log_scale, -1.0, 0.0)), z;
    if (state->lowers > 0) {
        cf_value centred = cf_subtract(b, cf_repeat_each(b, u, k), numbers.loc);
        z = cf_transpose(b, solve(state, b, &numbers, centred, inverse_scale), n);
    } else { /* [K, features], whose sums are of neighbours */
        cf_value loc = cf_transpose(b, numbers.loc, n);
        cf_value centred = cf_subtract(b, cf_repeat_whole(b, u, k), loc);
        z = cf_saturate(b, cf_apply_scale(b, centred, cf_transpose(b, inverse_scale, n)));
    }
    cf_value squares = cf_sum_groups(b, cf_multiply(b, z, z), k);
    cf_value log_det = cf_sum_groups(b, cf_transpose(b, numbers.log_scale, n), k);
    double constant = -0.5 * log(2.0 * 3.14159265358979323846) * (double)n;
    cf_value density = cf_scale_shift(b, squares, -0.5, constant);
    cf_value weight = cf_subtract(b, numbers.log_weight, log_det);
    return cf_log_sum_exp(b, cf_add(b, density, weight));
}

/* Of numbers of all components, [count, K], those of the chosen one. */
static cf_value chosen_numbers(cf_builder *b, cf_value numbers, cf_value chosen, size_t count) {
    return cf_sum_groups(b, cf_multiply(b, numbers, cf_repeat_whole(b, chosen, count)), count);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    const cf_mixture *state = base->state;
    size_t n = state->features, at = 0;
    mixture_numbers numbers = emit_numbers(base, b, context);
    cf_value chosen =
        cf_choose(b, cf_random_uniform_samples(b, 1, stream), cf_exp(b, numbers.log_weight));
    cf_value z = cf_random_normal_samples(b, n, stream + 1);
    cf_value scale = cf_exp(b, chosen_numbers(b, numbers.log_scale, chosen, n));
    cf_value u = cf_multiply(b, z, scale);
    cf_value lower = CF_NO_VALUE;
    if (state->lowers > 0)
        lower = chosen_numbers(b, numbers.lower, chosen, cf_triangle_size(n));
    for (size_t j = 0; state->lowers > 0 && j + 1 < n && cf_builder_status(b) == CF_OK; j++) {
        size_t rest = n - 1 - j;
        cf_value column = cf_slice(b, lower, at, rest);
        cf_value term = cf_multiply(b, column, cf_slice(b, z, j, 1));
        cf_value below = cf_add(b, cf_slice(b, u, j + 1, rest), term);
        u = cf_concat(b, (cf_value[]){cf_slice(b, u, 0, j + 1), below}, 2);
        at += rest;
    }
    return cf_add(b, u, chosen_numbers(b, numbers.loc, chosen, n));
}

/* Of one feature. */
static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    mixture_numbers numbers = emit_numbers(base, b, context);
    return (cf_components){
        .log_weight = numbers.log_weight, .loc = numbers.loc, .log_scale = numbers.log_scale};
}

static size_t component_count(const cf_base *base) {
    const cf_mixture *state = base->state;
    return state->components;
}

static cf_status check(const cf_spec *spec) {
    int64_t components = cf_spec_int(spec, "components");
    double minimum_scale = cf_spec_real(spec, "minimum_scale");
    if (components < 1 || components > 1 << 16)
        return cf_fail(CF_INVALID, "Mixture: components must be from 1 to 65536, got %lld",
                       (long long)components);
    if (!(minimum_scale == 0.0 || (minimum_scale >= 1e-30 && minimum_scale <= 1e30)))
        return cf_fail(CF_INVALID, "Mixture: minimum_scale must be 0 or from 1e-30 to 1e30, got %g",
                       minimum_scale);
    return CF_OK;
}

static bool awaits_points(const cf_base *base, const cf_model *model) {
    const cf_mixture *state = base->state;
    return state->kmeans && cf_model_is_as_started(model, state->logits) &&
           cf_model_is_as_started(model, state->loc) &&
           cf_model_is_as_started(model, state->log_scale) &&
           (state->lowers == 0 || cf_model_is_as_started(model, state->lower));
}

static cf_status start(const cf_base *base, cf_model *model, const double *points, size_t rows,
                       uint64_t seed) {
    return cf_mixture_start(base->state, model, points, rows, seed);
}

static const cf_base_methods methods = {
    .bind = bind,
    .log_prob = log_prob,
    .sample = sample,
    .components = components,
    .component_count = component_count,
    .awaits_points = awaits_points,
    .start = start,
};

static const cf_option options[] = {
    {.name = "components",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(8),
     .doc = "How many normals."},
    {.name = "learned",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(1),
     .doc = "Whether the parameters `base.logits`, `base.loc`, `base.log_scale` and `base.lower` "
            "are trained; else they are frozen, at what they are set to."},
    {.name = "conditioner",
     .kinds = CF_OPTION_SPEC | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .spec_role = "conditioner",
     .doc = "In a flow with context: a network whose outputs, of the context, are added to the "
            "logits, then the locs, then the log scales, then what lies below the diagonals."},
    {.name = "covariance_type",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("diagonal"),
     .choices = covariance_types,
     .doc = "``'spherical'``, one scale a component; ``'diagonal'``, one a feature; ``'full'``, a "
            "triangular factor a component; ``'tied'``, one factor for all components."},
    {.name = "minimum_scale",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc = "Added to the scales, the diagonals of the factors: no component then shrinks to a "
            "point."},
    {.name = "start",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("kmeans"),
     .choices = starts,
     .doc = "``'kmeans'``: a fit sets parameters that are as they started from clusters of the "
            "points at which its data, up to 10,000 rows, arrive at the base; they depend on the "
            "fit's seed alone. ``'random'``: it trains them from there."},
};

const cf_spec_type cf_mixture_type = {
    .name = "Mixture",
    .role = "base",
    .doc = "Mixture of normals.\n\n"
           "``log_prob(u) = log sum_k w_k normal(u; loc_k, L_k L_k^T)``, ``w = softmax(logits)``. "
           "The lower\ntriangular ``L_k`` has the scales ``exp(log_scale_k) + minimum_scale`` on "
           "its diagonal: its covariance\nis positive definite whatever the parameters. With "
           "`covariance_type` full or tied, `base.lower` has\nwhat lies below the diagonal, row by "
           "row; else that is 0, and the features are independent. The\n"
           "components are made at random centres, uniform on +-2, with equal weights and scale 1. "
           "Gradients\n"
           "through samples are those of the chosen component's centre and factor: how the choice "
           "itself moves\nwith the weights is left out.\n\n"
           "References\n----------\n"
           "Stimper et al. 2022, Resampling base distributions of normalizing flows, "
           "arXiv:2110.15828.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
