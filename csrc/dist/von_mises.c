/* The von Mises distribution with independent features: angles on [-pi, pi]. */
#include <math.h>

#include "base/memory.h"
#include "dist/numbers.h"
#include "ops/root.h"
#include "ops/special.h"

static const double pi = 3.141592653589793;

enum { LOC, LOG_CONCENTRATION };

static const cf_number_kinds kinds = {2,
                                      (const cf_number_kind[]){
                                          {"loc", "loc", 0.0, false},
                                          {"concentration", "log_concentration", 1.0, true},
                                      },
                                      "loc_concentration"};

typedef struct {
    cf_numbers numbers;
    size_t ends; /* buffers: -pi, then pi */
} von_mises_state;

static cf_status bind(cf_base *base, cf_binding *binding) {
    von_mises_state *state;
    double *ends;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    CF_TRY(cf_numbers_bind(&state->numbers, &kinds, base, binding));
    CF_TRY(cf_alloc(&ends, 2 * base->features, sizeof *ends));
    for (size_t f = 0; f < 2 * base->features; f++)
        ends[f] = f < base->features ? -pi : pi;
    cf_status status = cf_bind_buffer(binding, "ends", 2 * base->features, ends, &state->ends);
    cf_free(ends);
    return status;
}

/* 1 - cos(x), |x| <= pi: accurate near 0. */
static cf_value versine(cf_builder *b, cf_value x) {
    return cf_area_density(b, CF_AREA_CIRCLE, 1, cf_constant(b, CF_UNBATCHED, 1, 0.0), x);
}

/* exp(-concentration) I_0(concentration) pi: the integral from 0 to pi. */
static cf_value half(cf_builder *b, cf_value concentration) {
    return cf_area(b, CF_AREA_CIRCLE, 0, concentration, cf_constant(b, CF_UNBATCHED, 1, pi));
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const von_mises_state *state = base->state;
    cf_value value[2];
    cf_numbers_emit(&state->numbers, base, b, context, value);
    cf_value concentration =
        cf_numbers_positive(&state->numbers, base, b, LOG_CONCENTRATION, value[LOG_CONCENTRATION]);
    cf_value inside = cf_log_indicator(b, u, state->ends, state->ends + base->features);
    cf_value apart = cf_wrap(b, cf_subtract(b, cf_clamp(b, u, -4.0, 4.0), value[LOC]), -pi, pi);
    cf_value density = cf_subtract(b, inside, cf_multiply(b, concentration, versine(b, apart)));
    cf_value log_half = cf_log(b, half(b, concentration));
    return cf_scale_shift(
        b, cf_subtract(b, cf_sum_features(b, density), cf_numbers_sum(b, log_half, base->features)),
        1.0, -(double)base->features * log(2.0));
}

typedef struct {
    cf_value concentration, half;
} distribution;

/* The area between 0 and x, as a share of one half. */
static void share_to(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    const distribution *d = context;
    (void)unfinished;
    *value = cf_divide(b, cf_area(b, CF_AREA_CIRCLE, 0, d->concentration, x), d->half);
    *slope = cf_divide(b, cf_area_density(b, CF_AREA_CIRCLE, 0, d->concentration, x), d->half);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    const von_mises_state *state = base->state;
    cf_value value[2];
    cf_numbers_emit(&state->numbers, base, b, context, value);
    cf_value concentration =
        cf_numbers_positive(&state->numbers, base, b, LOG_CONCENTRATION, value[LOG_CONCENTRATION]);
    cf_value share =
        cf_scale_shift(b, cf_random_uniform_samples(b, base->features, stream), 2.0, -1.0);
    distribution d = {concentration, half(b, concentration)};
    cf_root_spec root = {.function = share_to,
                         .context = &d,
                         .context_size = sizeof d,
                         .target = share,
                         .low = cf_constant(b, CF_UNBATCHED, 1, -pi),
                         .high = cf_constant(b, CF_UNBATCHED, 1, pi),
                         .noise = 2.0};
    return cf_wrap(b, cf_add(b, cf_root(b, &root, NULL), value[LOC]), -pi, pi);
}

static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    const von_mises_state *state = base->state;
    cf_value value[2];
    cf_numbers_emit(&state->numbers, base, b, context, value);
    return (cf_components){.loc = value[LOC]};
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
    CF_NUMBER_OPTION("loc", "The mean direction in radians, one number or one a feature; None is "
                            "0. Whole turns do not matter."),
    CF_NUMBER_OPTION("concentration",
                     "One positive number or one a feature; None is 1. Near 0 angles are uniform, "
                     "and when it is large normal, with the variance 1 / concentration."),
    CF_LEARNED_OPTION("Whether loc and log(concentration) are parameters, `base.loc` and "
                      "`base.log_concentration`, that start at these values."),
    CF_CONDITIONER_OPTION("In a flow with context: a network whose outputs, of the context, are "
                          "loc and log(concentration) of all features; it starts at 0 and 1."),
};

const cf_spec_type cf_von_mises_type = {
    .name = "VonMises",
    .role = "base",
    .doc = "Von Mises distribution of angles with independent features, on [-pi, pi], ends "
           "included.\n\n"
           "``log_prob(u) = sum_i [concentration_i cos(u_i - loc_i) - log(2 pi "
           "I_0(concentration_i))]``, -inf\nbeyond the ends. For layers that keep to the circle, "
           "such as circular splines with bound pi. Samples\nare quantiles of uniform numbers, "
           "with exact gradients.\n\n"
           "References\n----------\n"
           "Mardia and Jupp 2000, Directional statistics, section 3.5.4.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
