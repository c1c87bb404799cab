/* The fixed point of a contraction: the loop, and its gradient by another. */
#include "ops/fixed_point.h"

static void iterate(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                    cf_value *goes_on) {
    const cf_fixed_point_spec *spec = context;
    next[0] = spec->function(b, spec->context, state[0]);
    *goes_on = cf_unsettled(b, next[0], state[0], spec->magnitude, spec->tolerance, spec->floor);
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
                                .max_iterations = spec->max_iterations};
    cf_value w = cf_fixed_point(b, &back, NULL);
    cf_walk_through(walk, first, end, 1, &a.image, &w);
}

cf_value cf_fixed_point(cf_builder *b, const cf_fixed_point_spec *spec, cf_value *failed) {
    cf_fixed_point_spec kept = *spec;
    cf_value z;
    cf_while_report report;
    kept.context = cf_builder_keep(b, spec->context, spec->context_size);
    cf_while_spec loop = {.states = 1,
                          .initial = &spec->start,
                          .body = iterate,
                          .context = &kept,
                          .context_size = sizeof kept,
                          .max_iterations = spec->max_iterations,
                          .gradient = rule};
    cf_while(b, &loop, &z, &report);
    if (failed != NULL)
        *failed = report.failed;
    return z;
}
