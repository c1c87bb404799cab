/* Flow matching: the velocity of a continuous flow is learned without solving its equation (Lipman
 * et al. 2023; Liu et al. 2023; Albergo and Vanden-Eijnden 2023). A path leads from a point u of
 * the base at t = 0 to data z, as they are behind the fixed maps, at t = 1, and the velocity
 * v(z_t, t) that is nearest to the paths' own in the mean carries one distribution to the other. */
#include <string.h>

#include "layers/continuous.h"
#include "ops/ops.h"
#include "train/losses/criterion.h"
#include "train/losses/losses.h"

typedef struct {
    const cf_flow *flow;
    bool trigonometric;
    double sigma_min;
} matching;

/* z: the data behind the fixed maps. */
static cf_value behind_maps(const cf_flow *flow, cf_builder *b, cf_value x) {
    const cf_layer *chain = &flow->chain;
    cf_value log_det;
    return chain->map == NULL ? x : cf_layer_through_map(chain, b, x, true, &log_det);
}

/* Where the path from u to z is at t, and its velocity there. */
static cf_value path(const matching *m, cf_builder *b, cf_value u, cf_value z, cf_value t,
                     cf_value *velocity) {
    const double half_pi = 1.57079632679489661923;
    if (!m->trigonometric) {
        *velocity = cf_subtract(b, z, u);
        return cf_add(b, u, cf_multiply(b, *velocity, t));
    }
    cf_value cosine = cf_cosine(b, t, 0.25, 0.0), sine = cf_cosine(b, t, 0.25, -0.25);
    cf_value slope = cf_subtract(b, cf_multiply(b, z, cosine), cf_multiply(b, u, sine));
    *velocity = cf_scale_shift(b, slope, half_pi, 0.0);
    return cf_add(b, cf_multiply(b, u, cosine), cf_multiply(b, z, sine));
}

/* The mean square over features of v(z_t, t) less the path's velocity. */
static void emit(const void *self, cf_builder *b, const cf_program_key *key, const cf_value *input,
                 cf_value *output) {
    const matching *m = self;
    const cf_flow *flow = m->flow;
    cf_value seen = cf_flow_see_context(flow, b, input[CF_CRITERION_CONTEXT]), target;
    cf_value z = behind_maps(flow, b, input[CF_CRITERION_X]), u = input[CF_CRITERION_U];
    (void)key;
    uint32_t stream = cf_next_stream(b);
    cf_value t = cf_random_uniform_samples(b, 1, cf_next_stream(b));
    if (cf_is_none(u))
        u = cf_base_methods_of(&flow->base)->sample(&flow->base, b, stream, seen);
    if (m->sigma_min > 0.0)
        z = cf_add(b, z, cf_scale_shift(b, u, m->sigma_min, 0.0));
    cf_value at = path(m, b, u, z, t, &target);
    cf_value velocity = cf_continuous_velocity(&flow->chain.child[0], b, t, at, seen);
    cf_value error = cf_subtract(b, velocity, target);
    if (cf_builder_status(b) != CF_OK)
        return;
    double features = (double)cf_value_size(b, error);
    output[0] = cf_sum_features(b, cf_multiply(b, error, error));
    output[0] = cf_scale_shift(b, output[0], 1.0 / features, 0.0);
}

static cf_status check(const cf_flow *flow) {
    const cf_layer *chain = &flow->chain;
    if (chain->mapped != 1 || cf_spec_type_of(chain->child[0].spec) != &cf_continuous_type)
        return cf_fail(
            CF_INVALID,
            "flow_matching learns the velocity of a flow of one Continuous layer, behind "
            "which only fixed maps such as Affine() may stand");
    return CF_OK;
}

static cf_status add_loss(const matching *m, const char *name, cf_arena *arena) {
    return cf_add_criterion(m->flow, &(cf_function){.name = name, .emit = emit, .self = m},
                            sizeof *m, true, arena);
}

/* ---- by name ---- */

static cf_status add_by_name(const cf_flow *flow) {
    cf_arena arena = {0};
    return add_loss(&(matching){.flow = flow}, "flow_matching", &arena);
}

const cf_loss cf_flow_matching_loss = {.name = "flow_matching", .check = check, .add = add_by_name};

/* ---- with options ---- */

static cf_status add(const cf_flow *flow, const cf_spec *spec, const char *name, cf_arena *arena) {
    matching given = {.flow = flow,
                      .trigonometric = strcmp(cf_spec_string(spec, "path"), "trigonometric") == 0,
                      .sigma_min = cf_spec_real(spec, "sigma_min")};
    return add_loss(&given, name, arena);
}

/* z and independent points of the base. */
static void emit_pairs(const void *self, cf_builder *b, const cf_program_key *key,
                       const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    (void)key;
    output[0] = behind_maps(flow, b, input[CF_CRITERION_X]);
    output[1] = cf_base_methods_of(&flow->base)
                    ->sample(&flow->base, b, cf_next_stream(b),
                             cf_flow_see_context(flow, b, input[CF_CRITERION_CONTEXT]));
}

static cf_status pairs(const cf_flow *flow, const cf_spec *spec, const cf_function **out) {
    static const char name[] = "flow_matching_pairs";
    if (strcmp(cf_spec_string(spec, "coupling"), "optimal_transport") != 0)
        return CF_OK;
    *out = cf_model_function(flow->model, name);
    if (*out != NULL)
        return CF_OK;
    cf_function function = *cf_model_function(flow->model, "log_prob");
    function.name = name;
    function.input[CF_CRITERION_U] = (cf_port){0};
    function.output[0] = (cf_port){.name = "z", .shape = flow->base_shape};
    function.output[1] = (cf_port){.name = "u", .shape = flow->base_shape};
    function.emit = emit_pairs;
    function.finish = NULL;
    cf_status status = cf_model_add_function(flow->model, &function, NULL);
    *out = cf_model_function(flow->model, name);
    return *out != NULL ? CF_OK : status;
}

static const cf_criterion_methods methods = {.check = check, .add = add, .pairs = pairs};

static const char *const couplings[] = {"independent", "optimal_transport", NULL};
static const char *const paths[] = {"straight", "trigonometric", NULL};

static const cf_option options[] = {
    {.name = "coupling",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("independent"),
     .choices = couplings,
     .doc = "``'optimal_transport'`` exchanges the points u of each batch such that the sum of "
            "``|z - u|^2`` is the least, which makes paths cross less and solutions straighter; "
            "only rows of equal context exchange theirs. Validation rows are coupled in batches "
            "too. The time of a batch grows with the third power of "
            "its rows, which are best some 500 at most."},
    {.name = "path",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("straight"),
     .choices = paths,
     .doc = "``'straight'``: ``z_t = (1 - t) u + t z``; ``'trigonometric'``: ``z_t = cos(pi t / 2) "
            "u + sin(pi t / 2) z``, whose variance stays 1 between distributions of variance 1."},
    {.name = "sigma_min",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .range = &(const cf_range){0.0, 1.0, false, true},
     .doc = "Paths end at ``z + sigma_min u`` instead of z: what is learned are data with so much "
            "noise of the base."},
};

const cf_spec_type cf_flow_matching_type = {
    .name = "FlowMatching",
    .role = "criterion",
    .doc =
        "The loss of flow matching: the velocity of a `Continuous` layer is learned without\n"
        "solving its equation.\n\n"
        "The mean square over features of ``v(z_t, t) - dz_t/dt`` on a path z_t from a point u "
        "of\n"
        "the base to data z, as they are behind the fixed maps, at t uniform on (0, 1). Rows of\n"
        "a fit that come with points ``u`` have those.\n\n"
        "References\n----------\n"
        "Lipman et al. 2023, Flow matching for generative modeling, arXiv:2210.02747.\n"
        "Albergo and Vanden-Eijnden 2023, Building normalizing flows with stochastic\n"
        "interpolants, arXiv:2209.15571: trigonometric paths.\n"
        "Tong et al. 2024, Improving and generalizing flow-based generative models with\n"
        "minibatch optimal transport, arXiv:2302.00482: couplings.\n\n"
        "Examples\n--------\n"
        ">>> import cflows as cf\n"
        ">>> cf.FlowMatching(coupling=\"optimal_transport\")\n"
        "FlowMatching(coupling='optimal_transport')",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
