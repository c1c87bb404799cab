/* The discretised logistic distribution: of a logistic variable, the probability of the cell of
 * each level (Kingma et al. 2016, section 5; Salimans et al. 2017, PixelCNN++, section 2.1). */
#include "dist/likelihood.h"
#include "ops/ops.h"

#define LONGEST_LOG_SCALE 7.0

static size_t param_count(const cf_spec *spec) {
    (void)spec;
    return 2;
}

static double levels_of(const cf_spec *spec) {
    return (double)cf_spec_int(spec, "levels");
}

static cf_value log_scale(cf_builder *b, cf_value params, size_t features) {
    return cf_softclip(b, cf_slice(b, params, features, features), LONGEST_LOG_SCALE);
}

static cf_value negated(cf_builder *b, cf_value x) {
    return cf_scale_shift(b, x, -1.0, 0.0);
}

/* With p and q the ends of the cell in units of the scale, log(sigmoid(q) - sigmoid(p)) =
 * log sigmoid(q) + log sigmoid(-p) + log(1 - exp(p - q)). The lowest level has no lower end, which
 * leaves the first term, and the highest no upper end, which leaves the second. */
static cf_value log_prob(const cf_spec *spec, cf_builder *b, cf_value params, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    double levels = levels_of(spec);
    size_t features = cf_value_size(b, x);
    cf_value slope = cf_exp(b, negated(b, log_scale(b, params, features)));
    cf_value centre = cf_scale_shift(b, x, 2.0 / levels, 1.0 / levels - 1.0);
    centre = cf_subtract(b, centre, cf_slice(b, params, 0, features));
    cf_value q = cf_multiply(b, cf_scale_shift(b, centre, 1.0, 1.0 / levels), slope);
    cf_value p = cf_multiply(b, cf_scale_shift(b, centre, 1.0, -1.0 / levels), slope);
    cf_value width =
        cf_log(b, negated(b, cf_expm1(b, cf_scale_shift(b, slope, -2.0 / levels, 0.0))));
    cf_value has_lower = cf_greater_equal(b, x, 0.5);
    cf_value has_upper = cf_greater_equal(b, negated(b, x), 1.5 - levels);
    cf_value each = cf_multiply(b, cf_multiply(b, has_lower, has_upper), width);
    each = cf_subtract(b, each, cf_multiply(b, has_upper, cf_softplus(b, negated(b, q))));
    each = cf_subtract(b, each, cf_multiply(b, has_lower, cf_softplus(b, p)));
    return cf_sum_features(b, cf_add(b, each, cf_log_indicator_integers(b, x, 0.0, levels - 1.0)));
}

static cf_value draw(const cf_spec *spec, cf_builder *b, cf_value params, size_t features,
                     uint32_t stream) {
    double levels = levels_of(spec);
    cf_value u =
        cf_clamp(b, cf_random_uniform_samples(b, features, stream), 0x1p-25, 1.0 - 0x1p-24);
    cf_value logit = cf_subtract(b, cf_log(b, u), cf_log1p(b, negated(b, u)));
    cf_value y = cf_multiply(b, cf_exp(b, log_scale(b, params, features)), logit);
    y = cf_add(b, cf_slice(b, params, 0, features), y);
    y = cf_floor(b, cf_scale_shift(b, y, 0.5 * levels, 0.5 * levels));
    return cf_clamp(b, y, 0.0, levels - 1.0);
}

static cf_value mean(const cf_spec *spec, cf_builder *b, cf_value params, size_t features) {
    double levels = levels_of(spec);
    cf_value centre =
        cf_scale_shift(b, cf_slice(b, params, 0, features), 0.5 * levels, 0.5 * levels - 0.5);
    return cf_clamp(b, centre, 0.0, levels - 1.0);
}

static cf_status check(const cf_spec *spec) {
    int64_t levels = cf_spec_int(spec, "levels");
    if (levels < 2 || levels > 65536)
        return cf_fail(CF_INVALID, "LogisticLikelihood: levels must be from 2 to 65536, got %lld",
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

const cf_spec_type cf_logistic_likelihood_type = {
    .name = "LogisticLikelihood",
    .role = "likelihood",
    .doc = "Features of ordered levels: a discretised logistic distribution each.\n\n"
           "``P(x) = F((y + 1/levels - a) / s) - F((y - 1/levels - a) / s)`` with ``y = (2 x + 1) "
           "/ levels - 1``,\n"
           "``F(t) = 1 / (1 + exp(-t))``, the unconstrained parameter a and ``s = exp(c / (1 + |c| "
           "/ 7))`` of "
           "a second one, c.\n"
           "The lowest level has all that is below it, the highest all that is above; -inf where x "
           "is no level.\n"
           "Its mean is told as the level at a, not rounded.\n\n"
           "References\n----------\n"
           "Kingma et al. 2016, Improved variational inference with inverse autoregressive flow, "
           "arXiv:1606.04934,\n"
           "section 5.2.\n"
           "Salimans et al. 2017, PixelCNN++, arXiv:1701.05517, section 2.1.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
