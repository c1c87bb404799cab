/* The gamma distribution with independent features. */
#include <math.h>

#include "dist/gamma_samples.h"
#include "dist/numbers.h"
#include "ops/special.h"

enum { LOG_SHAPE, LOG_SCALE };

static const cf_number_kinds kinds = {2,
                                      (const cf_number_kind[]){
                                          {"shape", "log_shape", 1.0, true},
                                          {"scale", "log_scale", 1.0, true},
                                      },
                                      "shape_scale"};

static cf_status bind(cf_base *base, cf_binding *binding) {
    return cf_numbers_bind_state(&kinds, base, binding);
}

/* Beside the logarithm of u, what shape a loses away from its mean, and Stirling's formula: of a
 * large shape the terms (a - 1) log(z), z and log gamma(a) would be much greater than their sum. */
static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const double log_root = 0.9189385332046727; /* log(2 pi) / 2 */
    cf_value value[2];
    cf_numbers_emit(base->state, base, b, context, value);
    cf_value shape = cf_numbers_positive(base->state, base, b, LOG_SHAPE, value[LOG_SHAPE]);
    cf_value scale = cf_numbers_positive(base->state, base, b, LOG_SCALE, value[LOG_SCALE]);
    cf_value z = cf_divide(b, u, scale);
    cf_value away = cf_add(b, cf_kl_div(b, shape, z), cf_log(b, u));
    cf_value norm =
        cf_subtract(b, cf_scale_shift(b, value[LOG_SHAPE], 0.5, -log_root), cf_stirling(b, shape));
    /* Where it is not positive, the logarithm of 0. */
    cf_value density = cf_where(b, u, cf_subtract(b, norm, away), cf_log(b, cf_relu(b, u)));
    return cf_sum_features(b, density);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    cf_value value[2];
    cf_numbers_emit(base->state, base, b, context, value);
    cf_value shape = cf_numbers_positive(base->state, base, b, LOG_SHAPE, value[LOG_SHAPE]);
    cf_value log_z = cf_log_gamma_samples(b, base->features, shape, stream);
    return cf_interior(b, cf_exp(b, cf_add(b, log_z, value[LOG_SCALE])), false);
}

static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    cf_value value[2];
    cf_numbers_emit(base->state, base, b, context, value);
    return (cf_components){.log_scale = value[LOG_SCALE],
                           .log_shapes = cf_repeat(b, value[LOG_SHAPE], 2)};
}

static cf_status check(const cf_spec *spec) {
    return cf_numbers_check(spec, &kinds);
}

static const cf_base_methods methods = {
    .bind = bind,
    .log_prob = log_prob,
    .sample = sample,
    .components = components,
    .restricted_domain = cf_base_restricts,
};

static const cf_option options[] = {
    CF_NUMBER_OPTION("shape", "One positive number or one a feature; None is 1."),
    CF_NUMBER_OPTION("scale", "One positive number or one a feature; None is 1."),
    CF_LEARNED_OPTION("Whether log(shape) and log(scale) are parameters, `base.log_shape` and "
                      "`base.log_scale`, that start at these values."),
    CF_CONDITIONER_OPTION("In a flow with context: a network whose outputs, of the context, are "
                          "log(shape) and log(scale) of all features; it starts at 1 and 1."),
};

const cf_spec_type cf_gamma_type = {
    .name = "Gamma",
    .role = "base",
    .doc =
        "Gamma distribution with independent features, of positive numbers.\n\n"
        "``log_prob(u) = sum_i [(shape_i - 1) log(z_i) - z_i - log gamma(shape_i) - "
        "log(scale_i)]``, ``z_i = u_i\n/ scale_i``, -inf where a number is not positive, 0 "
        "included. For layers that keep to positive\nnumbers, or begin with a `Log`. Samples are "
        "products of quantiles of uniform numbers, with exact\ngradients; those of small shapes "
        "that would round to 0 are the least normal number of the dtype.\n\n"
        "References\n----------\n"
        "Loader 2000, Fast and accurate computation of binomial probabilities.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
