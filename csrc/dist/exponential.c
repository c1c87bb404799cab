/* The exponential distribution with independent features. */
#include "dist/exponential.h"

#include <math.h>

#include "dist/numbers.h"
#include "ops/ops.h"

/* A radius of 0 is a rounded one. The numbers that round to it have about this median. */
static const double MIN_EXPONENTIAL = 0x1p-27;

cf_value cf_exponential_samples(cf_builder *b, size_t features, uint32_t stream) {
    cf_value points = cf_random_normal_samples(b, 2 * features, stream), sums = CF_NO_VALUE;
    cf_value squares = cf_multiply(b, points, points);
    for (size_t f = 0; f < features && cf_builder_status(b) == CF_OK; f++)
        sums =
            cf_concat(b, (cf_value[]){sums, cf_sum_features(b, cf_slice(b, squares, 2 * f, 2))}, 2);
    return cf_clamp(b, cf_scale_shift(b, sums, 0.5, 0.0), MIN_EXPONENTIAL, INFINITY);
}

static const cf_number_kinds kinds = {
    1, (const cf_number_kind[]){{"scale", "log_scale", 1.0, true}}, "scale"};

static cf_status bind(cf_base *base, cf_binding *binding) {
    return cf_numbers_bind_state(&kinds, base, binding);
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    cf_value log_scale;
    cf_numbers_emit(base->state, base, b, context, &log_scale);
    cf_value scale = cf_numbers_positive(base->state, base, b, 0, log_scale);
    /* 0 from 0 on, -inf below. */
    cf_value inside = cf_log(b, cf_greater_equal(b, u, 0.0));
    cf_value density = cf_subtract(b, inside, cf_divide(b, cf_relu(b, u), scale));
    return cf_subtract(b, cf_sum_features(b, density),
                       cf_numbers_sum(b, log_scale, base->features));
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    cf_value log_scale;
    cf_numbers_emit(base->state, base, b, context, &log_scale);
    cf_value scale = cf_numbers_positive(base->state, base, b, 0, log_scale);
    return cf_multiply(b, cf_exponential_samples(b, base->features, stream), scale);
}

static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    cf_components one = {0};
    cf_numbers_emit(base->state, base, b, context, &one.log_scale);
    return one;
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
    CF_NUMBER_OPTION("scale", "The mean, one positive number or one a feature; None is 1."),
    CF_LEARNED_OPTION("Whether log(scale) is a parameter, `base.log_scale`, that starts there."),
    CF_CONDITIONER_OPTION("In a flow with context: a network whose outputs, of the context, are "
                          "log(scale) of all features; it starts at 1."),
};

const cf_spec_type cf_exponential_type = {
    .name = "Exponential",
    .role = "base",
    .doc =
        "Exponential distribution with independent features, from 0 on, 0 included.\n\n"
        "``log_prob(u) = sum_i [-u_i / scale_i - log(scale_i)]``, -inf where a number is "
        "negative. For layers\nthat keep to positive numbers, or begin with a `Log`; an `Affine` "
        "moves the end.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
