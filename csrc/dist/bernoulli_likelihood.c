/* The Bernoulli distribution of features that are 0 or 1. */
#include "dist/likelihood.h"
#include "ops/ops.h"

static size_t param_count(const cf_spec *spec) {
    (void)spec;
    return 1;
}

static cf_value log_prob(const cf_spec *spec, cf_builder *b, cf_value params, cf_value x) {
    (void)spec;
    cf_value impossible = cf_log_indicator_integers(b, x, 0.0, 1.0);
    cf_value each = cf_subtract(b, cf_multiply(b, x, params), cf_softplus(b, params));
    return cf_sum_features(b, cf_add(b, each, impossible));
}

static cf_value mean(const cf_spec *spec, cf_builder *b, cf_value params, size_t features) {
    (void)spec;
    (void)features;
    return cf_sigmoid(b, params);
}

static cf_value draw(const cf_spec *spec, cf_builder *b, cf_value params, size_t features,
                     uint32_t stream) {
    cf_value u = cf_random_uniform_samples(b, features, stream);
    return cf_greater_equal(b, cf_subtract(b, mean(spec, b, params, features), u), 0.0);
}

static const cf_likelihood_methods methods = {param_count, log_prob, draw, mean};

const cf_spec_type cf_bernoulli_likelihood_type = {
    .name = "BernoulliLikelihood",
    .role = "likelihood",
    .doc = "Features that are 0 or 1, such as binarised pixels.\n\n"
           "``log p(x) = sum(x a - log(1 + exp(a)))`` with the unconstrained parameter a, the "
           "logit of the "
           "probability of 1;\n"
           "-inf where x is neither 0 nor 1.",
    .methods = &methods,
};
