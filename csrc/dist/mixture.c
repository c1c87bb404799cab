/* A mixture of normals with independent features, learned or set by a network from the context. */
#include <math.h>

#include "base/memory.h"
#include "dist/base.h"
#include "nn/conditioner.h"
#include "ops/ops.h"

typedef struct {
    size_t components;
    bool conditional;
    size_t logits, loc, log_scale; /* parameters: [K], [K, features], [K, features] */
    cf_conditioner conditioner;    /* of the same numbers, beside those parameters */
} mixture_state;

/* One component's numbers. */
typedef struct {
    cf_value loc, log_scale;
} component;

static cf_status bind_values(cf_base *base, cf_binding *binding, mixture_state *state) {
    size_t k = state->components, shape[2] = {k, base->features};
    bool learned = cf_spec_int(base->spec, "learned") != 0;
    CF_TRY(cf_bind_parameter(binding, "logits", 1, &k, 0.0, &state->logits));
    if (!learned)
        cf_bind_freeze_last(binding);
    CF_TRY(cf_bind_parameter(binding, "loc", 2, shape, k > 1 ? 2.0 : 0.0, &state->loc));
    if (!learned)
        cf_bind_freeze_last(binding);
    CF_TRY(cf_bind_parameter(binding, "log_scale", 2, shape, 0.0, &state->log_scale));
    if (!learned)
        cf_bind_freeze_last(binding);
    return CF_OK;
}

static cf_status bind(cf_base *base, cf_binding *binding) {
    const cf_spec *conditioner = cf_spec_spec(base->spec, "conditioner");
    size_t numbers;
    mixture_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    state->components = (size_t)cf_spec_int(base->spec, "components");
    state->conditional = conditioner != NULL;
    CF_TRY(bind_values(base, binding, state));
    if (!state->conditional)
        return CF_OK;
    if (base->context == 0)
        return cf_fail(CF_INVALID,
                       "Mixture: a conditioner reads the context, and the flow has none");
    if (!cf_size_mul(state->components, 2 * base->features + 1, &numbers))
        return cf_fail(CF_INVALID, "Mixture: too many components");
    return cf_conditioner_bind(&state->conditioner, conditioner, binding, "conditioner",
                               (cf_conditioner_sizes){.context = cf_vector(base->context),
                                                      .outputs = numbers,
                                                      .groups = 1},
                               true);
}

/* `count` numbers from `first` of unconstrained outputs, if there are any, added to parameters. */
static cf_value plus_param(cf_builder *b, cf_value parameters, cf_value params, size_t first,
                           size_t count) {
    return cf_is_none(params) ? parameters
                              : cf_add(b, cf_slice(b, params, first, count), parameters);
}

static cf_value emit_params(const cf_base *base, cf_builder *b, cf_value context) {
    const mixture_state *state = base->state;
    return state->conditional ? cf_conditioner_emit(&state->conditioner, b, CF_NO_VALUE, context)
                              : CF_NO_VALUE;
}

static cf_value emit_log_weights(const cf_base *base, cf_builder *b, cf_value params) {
    const mixture_state *state = base->state;
    size_t k = state->components;
    cf_value logits = plus_param(b, cf_parameter(b, state->logits, k), params, 0, k);
    return cf_subtract(b, logits, cf_log_sum_exp(b, logits));
}

static component emit_component(const cf_base *base, cf_builder *b, cf_value params,
                                size_t number) {
    const mixture_state *state = base->state;
    size_t k = state->components, n = base->features;
    cf_value loc = cf_slice(b, cf_parameter(b, state->loc, k * n), number * n, n);
    cf_value log_scale = cf_slice(b, cf_parameter(b, state->log_scale, k * n), number * n, n);
    return (component){plus_param(b, loc, params, k + number * n, n),
                       plus_param(b, log_scale, params, k + (k + number) * n, n)};
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const mixture_state *state = base->state;
    cf_value params = emit_params(base, b, context), terms = CF_NO_VALUE;
    for (size_t i = 0; i < state->components && cf_builder_status(b) == CF_OK; i++) {
        component c = emit_component(base, b, params, i);
        cf_value inverse_scale = cf_exp(b, cf_scale_shift(b, c.log_scale, -1.0, 0.0));
        cf_value z = cf_multiply(b, cf_subtract(b, u, c.loc), inverse_scale);
        cf_value density =
            cf_subtract(b, cf_normal_log_density(b, z), cf_sum_features(b, c.log_scale));
        terms = cf_concat(b, (cf_value[]){terms, density}, 2);
    }
    return cf_log_sum_exp(b, cf_add(b, terms, emit_log_weights(base, b, params)));
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    const mixture_state *state = base->state;
    cf_value params = emit_params(base, b, context);
    cf_value weights = cf_exp(b, emit_log_weights(base, b, params));
    cf_value chosen = cf_choose(b, cf_random_uniform_samples(b, 1, stream), weights);
    cf_value loc = CF_NO_VALUE, log_scale = CF_NO_VALUE;
    for (size_t i = 0; i < state->components && cf_builder_status(b) == CF_OK; i++) {
        component c = emit_component(base, b, params, i);
        cf_value is_chosen = cf_slice(b, chosen, i, 1);
        loc = cf_add_optional(b, loc, cf_multiply(b, is_chosen, c.loc));
        log_scale = cf_add_optional(b, log_scale, cf_multiply(b, is_chosen, c.log_scale));
    }
    cf_value z = cf_random_normal_samples(b, base->features, stream + 1);
    return cf_add(b, cf_multiply(b, z, cf_exp(b, log_scale)), loc);
}

static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    const mixture_state *state = base->state;
    cf_value params = emit_params(base, b, context);
    size_t k = state->components;
    return (cf_components){
        .log_weight = emit_log_weights(base, b, params),
        .loc = plus_param(b, cf_parameter(b, state->loc, k), params, k, k),
        .log_scale = plus_param(b, cf_parameter(b, state->log_scale, k), params, 2 * k, k)};
}

static size_t component_count(const cf_base *base) {
    const mixture_state *state = base->state;
    return state->components;
}

static cf_status check(const cf_spec *spec) {
    int64_t components = cf_spec_int(spec, "components");
    if (components < 1 || components > 1 << 16)
        return cf_fail(CF_INVALID, "Mixture: components must be from 1 to 65536, got %lld",
                       (long long)components);
    return CF_OK;
}

static const cf_base_methods methods = {bind, log_prob, sample, components, component_count};

static const cf_option options[] = {
    {.name = "components",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(8),
     .doc = "How many normals."},
    {.name = "learned",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(1),
     .doc = "Whether `base.logits`, `base.loc` and `base.log_scale` are trained; else they are "
            "frozen, at what they are set to."},
    {.name = "conditioner",
     .kinds = CF_OPTION_SPEC | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .spec_role = "conditioner",
     .doc = "In a flow with context: a network whose outputs, of the context, are added to the "
            "logits, then the locs, then the log scales."},
};

const cf_spec_type cf_mixture_type = {
    .name = "Mixture",
    .role = "base",
    .doc = "Mixture of normals with independent features.\n\n"
           "``log_prob(u) = log sum_k w_k normal(u; loc_k, exp(log_scale_k)^2)``, ``w = "
           "softmax(logits)``. The\n"
           "components start at random centres, uniform on +-2, with equal weights and scale 1. "
           "Gradients\n"
           "through samples are those of the chosen component's centre and scale: how the choice "
           "itself moves\nwith the weights is left out.\n\n"
           "References\n----------\n"
           "Stimper et al. 2022, Resampling base distributions of normalizing flows, "
           "arXiv:2110.15828.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
