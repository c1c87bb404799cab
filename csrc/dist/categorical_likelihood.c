/* A probability for each level of every feature. */
#include "dist/likelihood.h"
#include "ops/ops.h"

static size_t param_count(const cf_spec *spec) {
    return (size_t)cf_spec_int(spec, "levels");
}

static cf_value log_prob(const cf_spec *spec, cf_builder *b, cf_value params, cf_value x) {
    return cf_sum_features(b, cf_categorical_log_prob(b, params, x, param_count(spec)));
}

static cf_value draw(const cf_spec *spec, cf_builder *b, cf_value params, size_t features,
                     uint32_t stream) {
    cf_value u = cf_random_uniform_samples(b, features, stream);
    return cf_categorical_draw(b, params, u, param_count(spec));
}

static cf_value mean(const cf_spec *spec, cf_builder *b, cf_value params, size_t features) {
    (void)features;
    return cf_categorical_mean(b, params, param_count(spec));
}

static cf_status check(const cf_spec *spec) {
    int64_t levels = cf_spec_int(spec, "levels");
    if (levels < 2 || levels > 1024)
        return cf_fail(CF_INVALID, "CategoricalLikelihood: levels must be from 2 to 1024, got %lld",
                       (long long)levels);
    return CF_OK;
}

static const cf_likelihood_methods methods = {param_count, log_prob, draw, mean};

static const cf_option options[] = {
    {.name = "levels",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(256),
     .doc = "Features are one of 0, 1, ..., levels - 1."},
};

const cf_spec_type cf_categorical_likelihood_type = {
    .name = "CategoricalLikelihood",
    .role = "likelihood",
    .doc = "Features of a few levels, each with a probability of its own.\n\n"
           "``log p(x) = sum(a_x - log(sum_k exp(a_k)))`` with an unconstrained parameter a_k for "
           "each level; "
           "-inf where x is\n"
           "none of them.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
