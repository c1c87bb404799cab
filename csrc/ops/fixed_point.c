/* The fixed point of a contraction: the loop, and its gradient by another. */
#include "ops/fixed_point.h"

/* In the last place, of the default tolerance, and of rounding errors before they are enlarged. */
enum { UNITS = 8, ENLARGED_UNITS = 64 };

static cf_value moves(cf_builder *b, const cf_fixed_point_spec *spec, const cf_value *state,
                      const cf_value *next, double units) {
    return cf_unsettled(b, next[0], state[0], spec->magnitude, spec->tolerance,
                        spec->tolerance > 0.0 ? 0.0 : units, spec->floor);
}

static void iterate(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                    cf_value *goes_on) {
    const cf_fixed_point_spec *spec = context;
    next[0] = spec->function(b, spec->context, state[0]);
    *goes_on = moves(b, spec, state, next, UNITS);
    if (spec->rate == 0.0)
        return;
    /* The number of iterations, and in the last one what moves too much for rounding errors. */
    next[1] = cf_scale_shift(b, state[1], 1.0, 1.0);
    cf_value last = cf_greater_equal(b, next[1], spec->max_iterations - 0.5);
    cf_value more = moves(b, spec, state, next, ENLARGED_UNITS / (1.0 - spec->rate));
    cf_value stops = cf_multiply(b, last, cf_scale_shift(b, more, -1.0, 1.0));
    *goes_on = cf_multiply(b, *goes_on, cf_scale_shift(b, stops, -1.0, 1.0));
}

/* The map whose fixed point w is. */
typedef struct {
    cf_value z, image, dz;
} adjoint;

static cf_value pull_back(cf_builder *b, const void *context, cf_value w) {
    const adjoint *a = context;
    cf_value through;
    cf_gradient(b, 1, &a->image, &w, 1, &a->z, &through);
    return cf_add_optional(b, a->dz, through);
}

static void rule(cf_walk *walk, cf_builder *b, const cf_loop *loop, const cf_value *final,
                 const cf_value *dfinal) {
    const cf_fixed_point_spec *spec = cf_loop_context(loop);
    adjoint a = {.z = cf_copy(b, final[0]), .dz = dfinal[0]};
    if (cf_builder_status(b) != CF_OK)
        return;
    size_t first = cf_builder_nodes(b);
    a.image = spec->function(b, spec->context, a.z);
    size_t end = cf_builder_nodes(b);
    cf_fixed_point_spec back = {.function = pull_back,
                                .context = &a,
                                .context_size = sizeof a,
                                .start = a.dz,
                                .tolerance = spec->tolerance,
                                .rate = spec->rate,
                                .max_iterations = spec->max_iterations};
    cf_value w = cf_fixed_point(b, &back, NULL);
    cf_walk_through(walk, first, end, 1, &a.image, &w);
}

cf_value cf_fixed_point(cf_builder *b, const cf_fixed_point_spec *spec, cf_value *failed) {
    cf_fixed_point_spec kept = *spec;
    bool counts = spec->rate > 0.0;
    cf_value final[2], initial[2] = {spec->start};
    cf_while_report report;
    if (counts)
        initial[1] = cf_constant(b, CF_BATCHED, 1, 0.0);
    kept.context = cf_builder_keep(b, spec->context, spec->context_size);
    cf_while_spec loop = {.states = counts ? 2 : 1,
                          .initial = initial,
                          .body = iterate,
                          .context = &kept,
                          .context_size = sizeof kept,
                          .max_iterations = spec->max_iterations,
                          .gradient = rule};
    cf_while(b, &loop, final, &report);
    if (failed != NULL)
        *failed = report.failed;
    return final[0];
}
