/* Distillation of a flow into another one: points u of the base and x to which the teacher carries
 * them are the rows, and the student learns their density and the map. */
#include <string.h>

#include "ops/ops.h"
#include "train/losses/criterion.h"

typedef struct {
    const cf_flow *flow;
    double weight;
} distillation;

/* -log_prob(x) + weight |u(x) - u|^2. */
static void emit(const void *self, cf_builder *b, const cf_program_key *key, const cf_value *input,
                 cf_value *output) {
    const distillation *d = self;
    cf_value seen = cf_flow_see_context(d->flow, b, input[CF_CRITERION_CONTEXT]), found;
    (void)key;
    cf_value density = cf_flow_log_prob_at(d->flow, b, input[CF_CRITERION_X], seen, &found);
    output[0] = cf_scale_shift(b, density, -1.0, 0.0);
    if (d->weight == 0.0)
        return;
    cf_value error = cf_subtract(b, found, input[CF_CRITERION_U]);
    error = cf_sum_features(b, cf_multiply(b, error, error));
    output[0] = cf_add(b, output[0], cf_scale_shift(b, error, d->weight, 0.0));
}

static cf_status add(const cf_flow *flow, const cf_spec *spec, const char *name, cf_arena *arena) {
    distillation given = {.flow = flow, .weight = cf_spec_real(spec, "weight")};
    return cf_add_criterion(flow, &(cf_function){.name = name, .emit = emit, .self = &given},
                            sizeof given, given.weight == 0.0, arena);
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
