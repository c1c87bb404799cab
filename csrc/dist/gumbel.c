/* The Gumbel distribution with independent features. */
#include <math.h>

#include "dist/exponential.h"
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
    /* Far below, exp(-z) is infinite, and so is then the sum. */
    z = cf_clamp(b, z, -1e5, INFINITY);
    cf_value both = cf_add(b, z, cf_exp(b, cf_scale_shift(b, z, -1.0, 0.0)));
    cf_value density = cf_scale_shift(b, cf_sum_features(b, both), -1.0, 0.0);
    return cf_is_none(log_det) ? density : cf_subtract(b, density, log_det);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    cf_value logarithm = cf_log(b, cf_exponential_samples(b, base->features, stream));
    cf_value z = cf_scale_shift(b, logarithm, -1.0, 0.0);
    return cf_location_scale_apply(base->state, base, b, z, context);
}

static const cf_base_methods methods = {bind, log_prob, sample, cf_location_scale_components};

static const cf_option options[] = {CF_LOCATION_SCALE_OPTIONS};

const cf_spec_type cf_gumbel_type = {
    .name = "Gumbel",
    .role = "base",
    .doc = "Gumbel distribution of maxima with independent features, whose upper tail is the "
           "longer one.\n\n"
           "``log_prob(u) = sum_i [-z_i - exp(-z_i) - log(scale_i)]``, ``z_i = (u_i - loc_i) / "
           "scale_i``. loc is\nthe mode. For minima take it beside an `Affine` of a negative "
           "scale.\n\n"
           "References\n----------\n"
           "Coles 2001, An introduction to statistical modeling of extreme values, section 3.1.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_location_scale_check,
    .methods = &methods,
};
