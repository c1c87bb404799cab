/* Independent groups of features, each with a base of its own. */
#include "base/memory.h"
#include "dist/base.h"
#include "ops/ops.h"

typedef struct {
    size_t count;
    cf_base *base;
    int64_t **features; /* by base: its features, ascending */
    int64_t *index;     /* by feature: its index among all bases' features, joined */
} product_state;

static cf_status read_features(const cf_base *base, cf_binding *binding, product_state *state) {
    const cf_setting *which = cf_spec_get(base->spec, "which");
    size_t joined = 0;
    CF_TRY(cf_arena_alloc(binding->arena, &state->index, base->features, sizeof(int64_t)));
    for (size_t i = 0; i < state->count; i++) {
        size_t count = 0;
        CF_TRY(
            cf_arena_alloc(binding->arena, &state->features[i], base->features, sizeof(int64_t)));
        for (size_t f = 0; f < base->features; f++) {
            if (which->integers[f] != (int64_t)i)
                continue;
            state->features[i][count++] = (int64_t)f;
            state->index[f] = (int64_t)joined++;
        }
        if (count == 0)
            return cf_fail(CF_INVALID, "Product: base %zu has no feature", i);
        state->base[i].features = count;
    }
    return CF_OK;
}

static cf_status bind_bases(cf_base *base, cf_binding *binding, const product_state *state) {
    cf_spec *const *specs = cf_spec_get(base->spec, "bases")->specs;
    for (size_t i = 0; i < state->count; i++) {
        size_t mark;
        CF_TRY(cf_binding_enter(binding, "bases.", (long)i, &mark));
        cf_status status = cf_base_bind(&state->base[i], specs[i], binding, state->base[i].features,
                                        base->context);
        cf_binding_leave(binding, mark);
        CF_TRY(status);
    }
    return CF_OK;
}

static cf_status bind(cf_base *base, cf_binding *binding) {
    const cf_setting *which = cf_spec_get(base->spec, "which");
    product_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    state->count = cf_spec_get(base->spec, "bases")->count;
    if (which->count != base->features)
        return cf_fail(CF_INVALID, "Product: which has %zu numbers, the flow has %zu features",
                       which->count, base->features);
    CF_TRY(cf_arena_alloc(binding->arena, &state->base, state->count, sizeof *state->base));
    CF_TRY(cf_arena_alloc(binding->arena, &state->features, state->count, sizeof(int64_t *)));
    CF_TRY(read_features(base, binding, state));
    return bind_bases(base, binding, state);
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const product_state *state = base->state;
    cf_value sum = CF_NO_VALUE;
    for (size_t i = 0; i < state->count; i++) {
        const cf_base *own = &state->base[i];
        cf_value part = cf_select(b, u, state->features[i], own->features);
        sum = cf_add_optional(b, sum, cf_base_methods_of(own)->log_prob(own, b, part, context));
    }
    return sum;
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    const product_state *state = base->state;
    cf_value all = CF_NO_VALUE;
    for (size_t i = 0; i < state->count; i++) {
        const cf_base *own = &state->base[i];
        cf_value part = cf_base_methods_of(own)->sample(
            own, b, stream + (uint32_t)i * CF_BASE_STREAMS, context);
        all = cf_concat(b, (cf_value[]){all, part}, 2);
    }
    return cf_select(b, all, state->index, base->features);
}

/* Of one feature there is one base. */
static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    const product_state *state = base->state;
    return cf_base_methods_of(state->base)->components(state->base, b, context);
}

static size_t component_count(const cf_base *base) {
    const product_state *state = base->state;
    return cf_base_component_count(state->base);
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *bases = cf_spec_get(spec, "bases"), *which = cf_spec_get(spec, "which");
    if (bases->count < 1 || bases->count > 64)
        return cf_fail(CF_INVALID, "Product: from 1 to 64 bases, got %zu", bases->count);
    for (size_t i = 0; i < bases->count; i++)
        if (cf_spec_type_of(bases->specs[i]) == &cf_product_type)
            return cf_fail(CF_INVALID, "Product: a base must not be a Product itself");
    for (size_t f = 0; f < which->count; f++)
        if (which->integers[f] < 0 || (uint64_t)which->integers[f] >= bases->count)
            return cf_fail(CF_INVALID,
                           "Product: which must number the %zu bases from 0, got %lld at %zu",
                           bases->count, (long long)which->integers[f], f);
    return CF_OK;
}

static bool restricted_domain(const cf_base *base) {
    const product_state *state = base->state;
    bool any = false;
    for (size_t i = 0; i < state->count; i++)
        any |= cf_base_has_restricted_domain(&state->base[i]);
    return any;
}

static bool awaits_points(const cf_base *base, const cf_model *model) {
    const product_state *state = base->state;
    bool any = false;
    for (size_t i = 0; i < state->count; i++)
        any |= cf_base_awaits_points(&state->base[i], model);
    return any;
}

static cf_status start(const cf_base *base, cf_model *model, const double *points, size_t rows,
                       uint64_t seed) {
    const product_state *state = base->state;
    cf_status status = CF_OK;
    double *part;
    CF_TRY(cf_alloc(&part, rows, base->features * sizeof *part));
    for (size_t i = 0; i < state->count && status == CF_OK; i++) {
        const cf_base *own = &state->base[i];
        if (!cf_base_awaits_points(own, model))
            continue;
        for (size_t row = 0; row < rows; row++)
            for (size_t f = 0; f < own->features; f++)
                part[row * own->features + f] =
                    points[row * base->features + (size_t)state->features[i][f]];
        status = cf_base_methods_of(own)->start(own, model, part, rows, seed);
    }
    cf_free(part);
    return status;
}

static const cf_base_methods methods = {
    .bind = bind,
    .log_prob = log_prob,
    .sample = sample,
    .components = components,
    .component_count = component_count,
    .restricted_domain = restricted_domain,
    .awaits_points = awaits_points,
    .start = start,
};

static const cf_option options[] = {
    {.name = "bases",
     .kinds = CF_OPTION_SPECS,
     .required = true,
     .spec_role = "base",
     .doc = "The bases."},
    {.name = "which",
     .kinds = CF_OPTION_INTS,
     .required = true,
     .doc = "The number, from 0, of each feature's base."},
};

const cf_spec_type cf_product_type = {
    .name = "Product",
    .role = "base",
    .doc = "Independent groups of features, each with a base of its own.\n\n"
           "``log_prob(u)`` is the sum of the bases' log-densities: uniform angles beside normal "
           "lengths, say.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
