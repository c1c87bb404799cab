/* The normal with independent features. */
#include "dist/location_scale.h"
#include "ops/ops.h"

static cf_status bind(cf_base *base, cf_binding *binding) {
    cf_location_scale *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    return cf_location_scale_bind(state, base, binding);
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    cf_value log_det;
    cf_value z = cf_location_scale_remove(base->state, base, b, u, context, &log_det);
    cf_value density = cf_normal_log_density(b, z);
    return cf_is_none(log_det) ? density : cf_subtract(b, density, log_det);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    cf_value z = cf_random_normal_samples(b, base->features, stream);
    return cf_location_scale_apply(base->state, base, b, z, context);
}

static const cf_base_methods methods = {bind, log_prob, sample, cf_location_scale_components};

static const cf_option options[] = {CF_LOCATION_SCALE_OPTIONS};

const cf_spec_type cf_normal_type = {
    .name = "Normal",
    .role = "base",
    .doc = "Normal distribution with independent features.\n\n"
           "``log_prob(u) = sum_i [-((u_i - loc_i) / scale_i)^2 / 2 - log(scale_i) - log(2 pi) / "
           "2]``.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_location_scale_check,
    .methods = &methods,
};
