/* The normal distribution on an interval, with independent features.
 *
 * All is told from the point of the interval that is nearest to loc, c: r = (c - loc) / scale, 0 if
 * loc is inside. With t = (u - c) / scale the density is proportional to exp(-t^2 / 2 - r t), which
 * has its maximum, 1, at t = 0: nothing underflows or cancels, however far loc is away. */
#include <math.h>

#include "base/memory.h"
#include "dist/location_scale.h"
#include "ops/root.h"
#include "ops/special.h"

typedef struct {
    cf_location_scale given;
    size_t ends; /* buffers: low, then high */
} truncated_state;

/* Of a number of features: lengths in units of the scale, and areas below the density. */
typedef struct {
    cf_value log_scale, rate, low, high, nearest; /* rate: 1 / scale */
    cf_value below, above;                        /* from there to the ends */
    cf_value r, descent, ascent;                  /* r, its positive part and that of -r */
    cf_value area_below, area_above, all;
} geometry;

static cf_status fill(const cf_base *base, double *values) {
    size_t n = base->features;
    CF_TRY(cf_numbers_read(base, "low", -INFINITY, values));
    CF_TRY(cf_numbers_read(base, "high", INFINITY, values + n));
    for (size_t f = 0; f < n; f++)
        if (!(values[f] < values[n + f]))
            return cf_fail(CF_INVALID,
                           "TruncatedNormal: low must be below high, got %g and %g at %zu",
                           values[f], values[n + f], f);
    return CF_OK;
}

static cf_status bind(cf_base *base, cf_binding *binding) {
    truncated_state *state;
    double *values;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    CF_TRY(cf_alloc(&values, 2 * base->features, sizeof *values));
    cf_status status = fill(base, values);
    if (status == CF_OK)
        status = cf_bind_buffer(binding, "ends", 2 * base->features, values, &state->ends);
    cf_free(values);
    CF_TRY(status);
    return cf_location_scale_bind(&state->given, base, binding);
}

/* x where it is within [low, high], else the nearer end, feature by feature. */
static cf_value nearest_inside(cf_builder *b, cf_value x, cf_value low, cf_value high) {
    x = cf_where(b, cf_subtract(b, x, high), high, x);
    return cf_where(b, cf_subtract(b, low, x), low, x);
}

static geometry emit_geometry(const cf_base *base, cf_builder *b, cf_value context) {
    const truncated_state *state = base->state;
    size_t n = base->features;
    cf_value value[2];
    geometry g;
    cf_numbers_emit(&state->given.numbers, base, b, context, value);
    g.log_scale = value[1];
    /* Where there is no end, nothing is left this far away. */
    g.low = cf_clamp(b, cf_buffer(b, state->ends, n), -1e18, 1e18);
    g.high = cf_clamp(b, cf_buffer(b, state->ends + n, n), -1e18, 1e18);
    g.rate = cf_exp(b, cf_scale_shift(b, g.log_scale, -1.0, 0.0));
    g.nearest = nearest_inside(b, value[0], g.low, g.high);
    g.r = cf_multiply(b, cf_subtract(b, g.nearest, value[0]), g.rate);
    g.below = cf_multiply(b, cf_subtract(b, g.nearest, g.low), g.rate);
    g.above = cf_multiply(b, cf_subtract(b, g.high, g.nearest), g.rate);
    g.descent = cf_relu(b, g.r);
    g.ascent = cf_relu(b, cf_scale_shift(b, g.r, -1.0, 0.0));
    g.area_below = cf_area(b, CF_AREA_NORMAL, 0, g.ascent, g.below);
    g.area_above = cf_area(b, CF_AREA_NORMAL, 0, g.descent, g.above);
    g.all = cf_add(b, g.area_below, g.area_above);
    return g;
}

/* t (t / 2 + r) */
static cf_value exponent(cf_builder *b, cf_value t, cf_value r) {
    return cf_multiply(b, t, cf_add(b, cf_scale_shift(b, t, 0.5, 0.0), r));
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const truncated_state *state = base->state;
    geometry g = emit_geometry(base, b, context);
    cf_value inside = cf_log_indicator(b, u, state->ends, state->ends + base->features);
    cf_value t = cf_multiply(b, cf_subtract(b, u, g.nearest), g.rate);
    cf_value log_area = cf_log(b, g.all);
    cf_value norm = cf_add(b, log_area, g.log_scale);
    cf_value density = cf_subtract(b, inside, exponent(b, t, g.r));
    return cf_subtract(b, cf_sum_features(b, density), cf_numbers_sum(b, norm, base->features));
}

/* The share of the area from the nearest point to t, negative below it. */
static void share_to(cf_builder *b, const void *context, cf_value t, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    const geometry *g = context;
    (void)unfinished;
    cf_value above = cf_area(b, CF_AREA_NORMAL, 0, g->descent, cf_relu(b, t));
    cf_value minus = cf_relu(b, cf_scale_shift(b, t, -1.0, 0.0));
    above = cf_subtract(b, above, cf_area(b, CF_AREA_NORMAL, 0, g->ascent, minus));
    *value = cf_divide(b, above, g->all);
    *slope = cf_divide(b, cf_exp(b, cf_scale_shift(b, exponent(b, t, g->r), -1.0, 0.0)), g->all);
}

static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    geometry g = emit_geometry(base, b, context);
    cf_value share = cf_random_uniform_samples(b, base->features, stream);
    cf_root_spec root = {
        .function = share_to,
        .context = &g,
        .context_size = sizeof g,
        .target = cf_subtract(b, share, cf_divide(b, g.area_below, g.all)),
        .low = cf_scale_shift(b, cf_clamp(b, g.below, 0.0, 64.0), -1.0, 0.0),
        .high = cf_clamp(b, g.above, 0.0, 64.0),
        .start = cf_constant(b, CF_UNBATCHED, 1, 0.0),
        .noise = 2.0,
    };
    cf_value t = cf_root(b, &root, NULL);
    cf_value u = cf_add(b, g.nearest, cf_multiply(b, t, cf_exp(b, g.log_scale)));
    return nearest_inside(b, u, g.low, g.high);
}

static const cf_base_methods methods = {
    .bind = bind,
    .log_prob = log_prob,
    .sample = sample,
    .components = cf_location_scale_components,
    .restricted_domain = cf_base_restricts,
};

static const cf_option options[] = {
    CF_NUMBER_OPTION("low", "The lower end, one number or one a feature; None is -inf."),
    CF_NUMBER_OPTION("high", "The upper end; None is inf."),
    CF_LOCATION_SCALE_OPTIONS,
};

const cf_spec_type cf_truncated_normal_type = {
    .name = "TruncatedNormal",
    .role = "base",
    .doc = "Normal distribution on an interval, ends included, with independent features.\n\n"
           "``log_prob(u) = sum_i [-((u_i - loc_i) / scale_i)^2 / 2 - log(scale_i) - log(2 pi) / 2 "
           "- log(Phi(b_i)\n- Phi(a_i))]`` with ``a_i = (low_i - loc_i) / scale_i``, ``b_i = "
           "(high_i - loc_i) / scale_i``, and\n-inf outside. loc and scale are those of the whole "
           "normal distribution; loc may lie outside. Samples\nare quantiles of uniform numbers, "
           "with exact gradients.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_location_scale_check,
    .methods = &methods,
};
