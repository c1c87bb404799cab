/* The uniform distribution on a box. */
#include <math.h>

#include "base/memory.h"
#include "dist/base.h"
#include "ops/ops.h"

typedef struct {
    const cf_setting *low, *high;
    size_t buffers; /* low, high less low, high */
} uniform_state;

static double number(const cf_setting *setting, size_t feature) {
    return setting->reals[setting->count == 1 ? 0 : feature];
}

static cf_status fill(const cf_base *base, const uniform_state *state, double *values) {
    for (size_t f = 0; f < base->features; f++) {
        double low = number(state->low, f), high = number(state->high, f);
        if (!(low < high && isfinite(high - low)))
            return cf_fail(CF_INVALID,
                           "Uniform: low must be below high, and both finite, got %g and %g at %zu",
                           low, high, f);
        values[f] = low;
        values[base->features + f] = high - low;
        values[2 * base->features + f] = high;
    }
    return CF_OK;
}

static cf_status bind(cf_base *base, cf_binding *binding) {
    uniform_state *state;
    double *values;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    state->low = cf_spec_get(base->spec, "low");
    state->high = cf_spec_get(base->spec, "high");
    if ((state->low->count != 1 && state->low->count != base->features) ||
        (state->high->count != 1 && state->high->count != base->features))
        return cf_fail(CF_INVALID,
                       "Uniform: low has %zu numbers and high %zu, the flow has %zu "
                       "features",
                       state->low->count, state->high->count, base->features);
    CF_TRY(cf_alloc(&values, 3 * base->features, sizeof *values));
    cf_status status = fill(base, state, values);
    if (status == CF_OK)
        status = cf_bind_buffer(binding, "box", 3 * base->features, values, &state->buffers);
    cf_free(values);
    return status;
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const uniform_state *state = base->state;
    cf_value inside = cf_log_indicator(b, u, state->buffers, state->buffers + 2 * base->features);
    cf_value log_volume = cf_fixed_affine_log_det(b, state->buffers, base->features);
    (void)context;
    return cf_subtract(b, cf_sum_features(b, inside), log_volume);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    const uniform_state *state = base->state;
    (void)context;
    return cf_fixed_affine(b, cf_random_uniform_samples(b, base->features, stream), state->buffers,
                           false);
}

static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    const uniform_state *state = base->state;
    double low = number(state->low, 0), high = number(state->high, 0);
    (void)context;
    return (cf_components){.loc = cf_constant(b, CF_UNBATCHED, 1, low),
                           .log_scale = cf_constant(b, CF_UNBATCHED, 1, log(high - low))};
}

static const cf_base_methods methods = {
    .bind = bind,
    .log_prob = log_prob,
    .sample = sample,
    .components = components,
    .restricted_domain = cf_base_restricts,
};

static const cf_option options[] = {
    {.name = "low",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc = "The lower end, one number or one a feature."},
    {.name = "high",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS,
     .default_value = CF_DEFAULT_REAL(1.0),
     .doc = "The upper end."},
};

const cf_spec_type cf_uniform_type = {
    .name = "Uniform",
    .role = "base",
    .doc = "Uniform distribution on a box, ends included.\n\n"
           "``log_prob(u) = -sum_i log(high_i - low_i)`` inside, -inf outside. For layers that "
           "keep to the\nbox, such as splines with circular or free tails.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
