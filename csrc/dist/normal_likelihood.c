/* The normal distribution with a mean, and perhaps a scale, for every feature. */
#include <math.h>

#include "dist/likelihood.h"
#include "ops/ops.h"

#define LOG_1000 6.907755278982137

static bool is_fixed(const cf_spec *spec) {
    return cf_spec_get(spec, "scale")->kind != CF_NONE;
}

static size_t param_count(const cf_spec *spec) {
    return is_fixed(spec) ? 1 : 2;
}

static cf_value mean(const cf_spec *spec, cf_builder *b, cf_value params, size_t features) {
    (void)spec;
    return cf_slice(b, params, 0, features);
}

static cf_value log_scale(cf_builder *b, cf_value params, size_t features) {
    return cf_softclip(b, cf_slice(b, params, features, features), LOG_1000);
}

static cf_value log_prob(const cf_spec *spec, cf_builder *b, cf_value params, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_value_size(b, x);
    cf_value deviation = cf_subtract(b, x, mean(spec, b, params, features));
    if (is_fixed(spec)) {
        double scale = cf_spec_real(spec, "scale");
        cf_value density = cf_normal_log_density(b, cf_scale_shift(b, deviation, 1.0 / scale, 0.0));
        return cf_scale_shift(b, density, 1.0, -log(scale) * (double)features);
    }
    cf_value s = log_scale(b, params, features);
    cf_value z = cf_multiply(b, deviation, cf_exp(b, cf_scale_shift(b, s, -1.0, 0.0)));
    return cf_subtract(b, cf_normal_log_density(b, z), cf_sum_features(b, s));
}

static cf_value draw(const cf_spec *spec, cf_builder *b, cf_value params, size_t features,
                     uint32_t stream) {
    cf_value z = cf_random_normal_samples(b, features, stream);
    if (is_fixed(spec))
        z = cf_scale_shift(b, z, cf_spec_real(spec, "scale"), 0.0);
    else
        z = cf_multiply(b, z, cf_exp(b, log_scale(b, params, features)));
    return cf_add(b, mean(spec, b, params, features), z);
}

static cf_status check(const cf_spec *spec) {
    if (is_fixed(spec) && !(cf_spec_real(spec, "scale") > 0.0))
        return cf_fail(CF_INVALID, "NormalLikelihood: scale must be positive, got %g",
                       cf_spec_real(spec, "scale"));
    return CF_OK;
}

static const cf_likelihood_methods methods = {param_count, log_prob, draw, mean};

static const cf_option options[] = {
    {.name = "scale",
     .kinds = CF_OPTION_REAL | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "The standard deviation of every feature; with None the network gives it."},
};

const cf_spec_type cf_normal_likelihood_type = {
    .name = "NormalLikelihood",
    .role = "likelihood",
    .doc = "Real features, normally distributed around what the network gives.\n\n"
           "``log p(x) = sum(-(x - a)^2 / (2 s^2) - log(s) - log(2 pi) / 2)`` with the "
           "unconstrained parameter "
           "a, and s either\n"
           "given or ``exp(c / (1 + |c| / log(1000)))`` of a second unconstrained parameter c, "
           "between 1/1000 "
           "and 1000.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
