/* The Laplace distribution with independent features. */
#include "dist/exponential.h"
#include "dist/location_scale.h"

#include <math.h>

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
    /* |z| as a sum, which keeps NaN. */
    cf_value absolute = cf_add(b, cf_relu(b, z), cf_relu(b, cf_scale_shift(b, z, -1.0, 0.0)));
    cf_value density =
        cf_scale_shift(b, cf_sum_features(b, absolute), -1.0, -log(2.0) * (double)base->features);
    return cf_is_none(log_det) ? density : cf_subtract(b, density, log_det);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    size_t n = base->features;
    /* A normal number of exponentially distributed variance. */
    cf_value variance = cf_scale_shift(b, cf_exponential_samples(b, n, stream), 2.0, 0.0);
    cf_value deviation = cf_exp(b, cf_scale_shift(b, cf_log(b, variance), 0.5, 0.0));
    cf_value z = cf_multiply(b, deviation, cf_random_normal_samples(b, n, stream + 1));
    return cf_location_scale_apply(base->state, base, b, z, context);
}

static const cf_base_methods methods = {bind, log_prob, sample, cf_location_scale_components};

static const cf_option options[] = {CF_LOCATION_SCALE_OPTIONS};

const cf_spec_type cf_laplace_type = {
    .name = "Laplace",
    .role = "base",
    .doc = "Laplace distribution with independent features.\n\n"
           "``log_prob(u) = sum_i [-|u_i - loc_i| / scale_i - log(2 scale_i)]``.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_location_scale_check,
    .methods = &methods,
};
