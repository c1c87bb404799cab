/* The beta distribution with independent features. */
#include <math.h>

#include "dist/gamma_samples.h"
#include "dist/numbers.h"
#include "ops/special.h"

enum { LOG_A, LOG_B };

static const cf_number_kinds kinds = {2,
                                      (const cf_number_kind[]){
                                          {"a", "log_a", 1.0, true},
                                          {"b", "log_b", 1.0, true},
                                      },
                                      "a_b"};

static cf_status bind(cf_base *base, cf_binding *binding) {
    return cf_numbers_bind_state(&kinds, base, binding);
}

/* log(a b / (a + b)) / 2 - log(2 pi) / 2 less the remainders of Stirling's formula: the density's
 * normalizer, but for what it loses away from its mean (Loader 2000). */
static cf_value normalizer(cf_builder *b, const cf_value *value, cf_value p, cf_value q,
                           cf_value both) {
    const double log_root = 0.9189385332046727; /* log(2 pi) / 2 */
    cf_value logs = cf_subtract(b, cf_add(b, value[LOG_A], value[LOG_B]), cf_log(b, both));
    cf_value rest =
        cf_subtract(b, cf_stirling(b, both), cf_add(b, cf_stirling(b, p), cf_stirling(b, q)));
    return cf_add(b, cf_scale_shift(b, logs, 0.5, -log_root), rest);
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    cf_value value[2];
    cf_numbers_emit(base->state, base, b, context, value);
    cf_value p = cf_numbers_positive(base->state, base, b, LOG_A, value[LOG_A]);
    cf_value q = cf_numbers_positive(base->state, base, b, LOG_B, value[LOG_B]);
    cf_value both = cf_add(b, p, q);
    cf_value v = cf_scale_shift(b, u, -1.0, 1.0);
    cf_value away = cf_add(b, cf_kl_div(b, p, cf_multiply(b, u, both)),
                           cf_kl_div(b, q, cf_multiply(b, v, both)));
    away = cf_add(b, away, cf_add(b, cf_log(b, u), cf_log(b, v)));
    cf_value density = cf_subtract(b, normalizer(b, value, p, q, both), away);
    /* Where u or 1 - u is not positive, the logarithm of 0. */
    density = cf_where(b, v, density, cf_log(b, cf_relu(b, v)));
    density = cf_where(b, u, density, cf_log(b, cf_relu(b, u)));
    return cf_sum_features(b, density);
}

/* The quotient of a gamma number and its sum with another. */
static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    cf_value value[2];
    cf_numbers_emit(base->state, base, b, context, value);
    cf_value p = cf_numbers_positive(base->state, base, b, LOG_A, value[LOG_A]);
    cf_value q = cf_numbers_positive(base->state, base, b, LOG_B, value[LOG_B]);
    cf_value log_p = cf_log_gamma_samples(b, base->features, p, stream);
    cf_value log_q = cf_log_gamma_samples(b, base->features, q, stream + 2);
    return cf_interior(b, cf_sigmoid(b, cf_subtract(b, log_p, log_q)), true);
}

static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    cf_value value[2];
    cf_numbers_emit(base->state, base, b, context, value);
    return (cf_components){.log_shapes = cf_concat(b, value, 2)};
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
    CF_NUMBER_OPTION("a", "One positive number or one a feature; None is 1. The larger it is, the "
                          "less is near 0."),
    CF_NUMBER_OPTION("b", "One positive number or one a feature; None is 1. The larger it is, the "
                          "less is near 1."),
    CF_LEARNED_OPTION("Whether log(a) and log(b) are parameters, `base.log_a` and `base.log_b`, "
                      "that start at these values."),
    CF_CONDITIONER_OPTION("In a flow with context: a network whose outputs, of the context, are "
                          "log(a) and log(b) of all features; it starts at 1 and 1."),
};

const cf_spec_type cf_beta_type = {
    .name = "Beta",
    .role = "base",
    .doc = "Beta distribution with independent features, of numbers above 0 and below 1.\n\n"
           "``log_prob(u) = sum_i [(a_i - 1) log(u_i) + (b_i - 1) log(1 - u_i) - log B(a_i, "
           "b_i)]``, -inf where a\nnumber is not inside, the ends included. For layers that keep "
           "to the interval, or begin with a\n`Logit`. Samples are made of two gamma numbers, with "
           "exact gradients; those that would round to an\nend are the nearest normal numbers "
           "inside.\n\n"
           "References\n----------\n"
           "Loader 2000, Fast and accurate computation of binomial probabilities.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
