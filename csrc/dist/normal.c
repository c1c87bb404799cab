/* The normal with independent features: standard, or with a location and a scale that are given or
 * learned. */
#include <math.h>

#include "base/memory.h"
#include "dist/base.h"
#include "ops/ops.h"

typedef struct {
    bool standard, learned;
    size_t loc, log_scale; /* parameters, if learned */
    size_t buffers;        /* loc and scale, if given */
} normal_state;

/* loc and scale as the options give them, one number standing for all features: 2 x features
 * numbers. */
static cf_status fill(const cf_base *base, double *values) {
    const char *names[2] = {"loc", "scale"};
    for (int k = 0; k < 2; k++) {
        const cf_setting *setting = cf_spec_get(base->spec, names[k]);
        if (setting->kind != CF_NONE && setting->count != 1 && setting->count != base->features)
            return cf_fail(CF_INVALID, "Normal: %s has %zu numbers, the flow has %zu features",
                           names[k], setting->count, base->features);
        for (size_t f = 0; f < base->features; f++) {
            double fallback = k == 0 ? 0.0 : 1.0;
            values[(size_t)k * base->features + f] =
                setting->kind == CF_NONE ? fallback : setting->reals[setting->count == 1 ? 0 : f];
        }
    }
    return CF_OK;
}

static cf_status bind_values(cf_base *base, cf_binding *binding, normal_state *state,
                             double *values) {
    CF_TRY(fill(base, values));
    if (!state->learned)
        return cf_bind_buffer(binding, "loc_scale", 2 * base->features, values, &state->buffers);
    for (size_t f = 0; f < base->features; f++)
        values[base->features + f] = log(values[base->features + f]);
    CF_TRY(cf_bind_parameter_values(binding, "loc", base->features, values, &state->loc));
    return cf_bind_parameter_values(binding, "log_scale", base->features, values + base->features,
                                    &state->log_scale);
}

static cf_status bind(cf_base *base, cf_binding *binding) {
    normal_state *state;
    double *values;
    CF_TRY(cf_pile_take(binding->pile, &state, 1, sizeof *state));
    base->state = state;
    state->learned = cf_spec_int(base->spec, "learned") != 0;
    state->standard = !state->learned && cf_spec_get(base->spec, "loc")->kind == CF_NONE &&
                      cf_spec_get(base->spec, "scale")->kind == CF_NONE;
    if (state->standard)
        return CF_OK;
    CF_TRY(cf_alloc(&values, 2 * base->features, sizeof *values));
    cf_status status = bind_values(base, binding, state, values);
    cf_free(values);
    return status;
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const normal_state *state = base->state;
    (void)context;
    if (state->standard)
        return cf_normal_log_density(b, u);
    cf_value z, log_det;
    if (state->learned) {
        cf_value log_scale = cf_parameter(b, state->log_scale, base->features);
        cf_value centred = cf_subtract(b, u, cf_parameter(b, state->loc, base->features));
        z = cf_multiply(b, centred, cf_exp(b, cf_scale(b, log_scale, -1.0, 0.0)));
        log_det = cf_sum_features(b, log_scale);
    } else {
        z = cf_fixed_affine(b, u, state->buffers, true);
        log_det = cf_fixed_affine_log_det(b, state->buffers, base->features);
    }
    return cf_subtract(b, cf_normal_log_density(b, z), log_det);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    const normal_state *state = base->state;
    (void)context;
    cf_value z = cf_random_normal_rows(b, base->features, stream);
    if (state->standard)
        return z;
    if (!state->learned)
        return cf_fixed_affine(b, z, state->buffers, false);
    cf_value scale = cf_exp(b, cf_parameter(b, state->log_scale, base->features));
    return cf_add(b, cf_multiply(b, z, scale), cf_parameter(b, state->loc, base->features));
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *loc = cf_spec_get(spec, "loc"), *scale = cf_spec_get(spec, "scale");
    for (size_t i = 0; loc->kind != CF_NONE && i < loc->count; i++)
        if (!isfinite(loc->reals[i]))
            return cf_fail(CF_INVALID, "Normal: loc must be finite, got %g at %zu", loc->reals[i],
                           i);
    for (size_t i = 0; scale->kind != CF_NONE && i < scale->count; i++)
        if (!(scale->reals[i] > 0.0 && isfinite(scale->reals[i])))
            return cf_fail(CF_INVALID, "Normal: scale must be positive and finite, got %g at %zu",
                           scale->reals[i], i);
    return CF_OK;
}

static const cf_base_methods methods = {bind, log_prob, sample};

static const cf_option options[] = {
    {.name = "loc",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTIONAL,
     .fallback = CF_DEFAULT_NONE,
     .doc = "The mean, one number or one a feature; None is 0."},
    {.name = "scale",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTIONAL,
     .fallback = CF_DEFAULT_NONE,
     .doc = "The standard deviation, one positive number or one a feature; None is 1."},
    {.name = "learned",
     .kinds = CF_OPTION_BOOL,
     .fallback = CF_DEFAULT_BOOL(0),
     .doc = "Whether loc and log(scale) are parameters, `base.loc` and `base.log_scale`, that "
            "start at "
            "these values."},
};

const cf_spec_type cf_normal_type = {
    .name = "Normal",
    .role = "base",
    .doc = "Normal distribution with independent features.\n\n"
           "``log_prob(u) = sum_i [-((u_i - loc_i) / scale_i)^2 / 2 - log(scale_i) - log(2 pi) / "
           "2]``.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
