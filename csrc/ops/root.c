/* The root of a monotone function: the loop around cf_root_step, and its gradient. */
#include "ops/root.h"

#include <math.h>

/* 8 steps, and 4 for every bit of a float64; see root_step.c. */
enum { MAX_STEPS = 300 };

typedef struct {
    cf_root_spec spec;
    size_t features;
} root_context;

enum { LOW, HIGH, X, STEP, STATES };

static void evaluate(cf_builder *b, const root_context *r, cf_value x, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    *value = *slope = CF_NO_VALUE;
    r->spec.function(b, r->spec.context, x, unfinished, value, slope);
    if (cf_builder_status(b) != CF_OK)
        return;
    if (cf_is_none(*value) || cf_value_size(b, *value) != r->features) {
        cf_builder_fail(b, CF_INVALID, "the function of a root gives no %zu features", r->features);
        return;
    }
    *value = cf_broadcast(b, *value);
    *slope = cf_broadcast(b, cf_is_none(*slope) ? cf_derivative(b, *value, x) : *slope);
}

static void step(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                 cf_value *goes_on) {
    const root_context *r = context;
    cf_value value, slope, all[STATES + 1];
    size_t n = r->features;
    evaluate(b, r, state[X], state[STEP], &value, &slope);
    for (size_t i = 0; i < STATES; i++)
        all[i] = state[i];
    all[STATES] = r->spec.short_step;
    cf_value out = cf_root_step(b, cf_concat(b, all, STATES + 1), value, slope, r->spec.target,
                                r->spec.decreasing, r->spec.noise);
    for (size_t i = 0; i < STATES; i++)
        next[i] = cf_slice(b, out, i * n, n);
    *goes_on = cf_slice(b, out, STATES * n, 1);
}

static void rule(cf_walk *walk, cf_builder *b, const cf_loop *loop, const cf_value *final,
                 const cf_value *dfinal) {
    const root_context *r = cf_loop_context(loop);
    cf_value value, slope, x = cf_copy(b, final[X]);
    size_t first = cf_builder_nodes(b);
    evaluate(b, r, x, CF_NO_VALUE, &value, &slope);
    size_t end = cf_builder_nodes(b);
    cf_value share = cf_divide(b, dfinal[X], slope), minus = cf_scale_shift(b, share, -1.0, 0.0);
    cf_walk_through(walk, first, end, 1, &value, &minus);
    cf_walk_accumulate(walk, r->spec.target, share);
}

/* A value of the spec, or a constant, batched, of as many features as the target. */
static cf_value as_batched(cf_builder *b, cf_value value, double otherwise, size_t features) {
    if (cf_is_none(value))
        return cf_constant(b, CF_BATCHED, features, otherwise);
    value = cf_broadcast(b, value);
    if (cf_builder_status(b) == CF_OK && cf_value_size(b, value) == 1)
        value = cf_repeat(b, value, features);
    if (cf_builder_status(b) == CF_OK && cf_value_size(b, value) != features)
        return cf_builder_fail(b, CF_INVALID, "the bracket of a root has %zu features, not %zu",
                               cf_value_size(b, value), features);
    return value;
}

static cf_value choose_start(cf_builder *b, const cf_root_spec *spec) {
    if (!cf_is_none(spec->start) || (cf_is_none(spec->low) && cf_is_none(spec->high)))
        return spec->start;
    if (cf_is_none(spec->low) || cf_is_none(spec->high))
        return cf_builder_fail(b, CF_INVALID, "a root between one end and infinity has no start");
    return cf_add(b, cf_scale_shift(b, spec->low, 0.5, 0.0),
                  cf_scale_shift(b, spec->high, 0.5, 0.0));
}

cf_value cf_root(cf_builder *b, const cf_root_spec *spec, cf_value *failed) {
    if (failed != NULL)
        *failed = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    root_context r = {.spec = *spec, .features = cf_value_size(b, spec->target)};
    cf_value start = choose_start(b, spec);
    r.spec.context = cf_builder_keep(b, spec->context, spec->context_size);
    r.spec.target = cf_broadcast(b, spec->target);
    if (!cf_is_none(spec->short_step))
        r.spec.short_step = as_batched(b, spec->short_step, 0.0, r.features);
    cf_value initial[STATES] = {
        as_batched(b, spec->low, -INFINITY, r.features),
        as_batched(b, spec->high, INFINITY, r.features),
        as_batched(b, start, 0.0, r.features),
        as_batched(b, CF_NO_VALUE, INFINITY, r.features),
    };
    cf_value final[STATES];
    cf_while_report report;
    cf_while_spec loop = {.states = STATES,
                          .initial = initial,
                          .body = step,
                          .context = &r,
                          .context_size = sizeof r,
                          .max_iterations = MAX_STEPS,
                          .gradient = spec->detached ? cf_no_cotangents : rule};
    cf_while(b, &loop, final, &report);
    if (failed != NULL)
        *failed = report.failed;
    return final[X];
}
