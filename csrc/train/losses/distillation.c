/* Distillation of a flow into another one: points u of the base and x to which the teacher carries
 * them are the rows, and the student learns their density and the map. */
#include <string.h>

#include "ops/ops.h"
#include "train/losses/criterion.h"

typedef struct {
    const cf_flow *flow;
    double weight;
} distillation;

enum { X, CONTEXT, JITTER, U };

/* -log_prob(x) + weight |u(x) - u|^2. */
static void emit(const void *self, cf_builder *b, const cf_program_key *key, const cf_value *input,
                 cf_value *output) {
    const distillation *d = self;
    cf_value seen = cf_flow_see_context(d->flow, b, input[CONTEXT]), found;
    (void)key;
    cf_value density = cf_flow_log_prob_at(d->flow, b, input[X], seen, &found);
    output[0] = cf_scale_shift(b, density, -1.0, 0.0);
    if (d->weight == 0.0)
        return;
    cf_value error = cf_subtract(b, found, input[U]);
    error = cf_sum_features(b, cf_multiply(b, error, error));
    output[0] = cf_add(b, output[0], cf_scale_shift(b, error, d->weight, 0.0));
}

static cf_status add(const cf_flow *flow, const cf_spec *spec, const char *name, cf_arena *arena) {
    cf_function function = *cf_model_function(flow->model, "log_prob");
    distillation *kept;
    cf_status status = cf_arena_alloc(arena, &kept, 1, sizeof *kept);
    if (status != CF_OK) {
        cf_arena_free(arena);
        return status;
    }
    *kept = (distillation){.flow = flow, .weight = cf_spec_real(spec, "weight")};
    function.name = name;
    function.input[U] =
        (cf_port){.name = "u", .shape = flow->base_shape, .optional = kept->weight == 0.0};
    function.output[0].name = "loss";
    function.emit = emit;
    function.finish = NULL;
    function.self = kept;
    return cf_model_add_function(flow->model, &function, arena);
}

static cf_status check(const cf_flow *flow) {
    return cf_flow_check_density(flow);
}

static const cf_criterion_methods methods = {.check = check, .add = add};

static const cf_option options[] = {
    {.name = "weight",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1.0),
     .range = &(const cf_range){0.0, INFINITY, false, true},
     .doc = "Of the squared error of u; 0 is the likelihood alone."},
};

const cf_spec_type cf_distillation_type = {
    .name = "Distillation",
    .role = "criterion",
    .doc = "The loss by which a flow learns another one: ``-log_prob(x) + weight |u(x) - u|^2`` "
           "of\n"
           "pairs of u, a point of the base, and x, to which the teacher carries it. It is for "
           "rows\n"
           "of a fit that come with points ``u``; ``Flow.distill`` makes them.\n\n"
           "References\n----------\n"
           "Van den Oord et al. 2018, Parallel WaveNet: fast high-fidelity speech synthesis,\n"
           "arXiv:1711.10433: a flow that learns another by its density.\n"
           "Baranchuk et al. 2021, Distilling the knowledge from conditional normalizing flows,\n"
           "arXiv:2106.12699: by the error of the map.\n\n"
           "Examples\n--------\n"
           ">>> import cflows as cf\n"
           ">>> cf.Distillation(weight=0.1)\n"
           "Distillation(weight=0.1)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
