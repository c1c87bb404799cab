/* Continuous flows: the solution of a differential equation whose slope is a network. */
#include <string.h>

#include "layers/continuous.h"
#include "nn/divergence.h"
#include "ops/ode.h"

enum { EQUAL_STEPS = 20, MAX_STEPS = 1000 }; /* by default */

static const char *const solver_names[] = {"euler", "rk4", "dopri5", "tsit5", NULL};

typedef struct {
    cf_conditioner network;
    size_t frequencies, probes;
    cf_solver solver;
    uint32_t steps;
    double rtol, atol;
} continuous_state;

/* What the slope needs; its time is that of the flow. */
typedef struct {
    const cf_layer *layer;
    cf_value context, noise;
    bool backwards; /* from the data to the base: the solver's time is 1 - t */
    bool log_det;
} slope_context;

/* ---- binding ---- */

static cf_status network_spec(const cf_layer *layer, cf_binding *binding, cf_spec **out) {
    const cf_setting *option = cf_spec_get(layer->spec, "network");
    if (option->kind != CF_NONE) {
        *out = option->specs[0];
        return CF_OK;
    }
    cf_setting activation = {.kind = CF_OPTION_STRING, .string = "silu"};
    CF_TRY(cf_spec_new(out, &cf_mlp_type));
    cf_status status = cf_spec_set(*out, "activation", &activation);
    if (status == CF_OK)
        status = cf_spec_finish(*out);
    if (status == CF_OK)
        return cf_binding_keep(binding, *out);
    cf_spec_free(*out);
    return status;
}

static cf_status bind_network(cf_layer *layer, cf_binding *binding) {
    continuous_state *state = layer->state;
    size_t times = state->frequencies > 0 ? 2 * state->frequencies : 1;
    cf_spec *spec;
    if (layer->context.image)
        return cf_fail(CF_INVALID,
                       "Continuous: the context must be a vector, which the network reads beside "
                       "the time, got an image");
    CF_TRY(network_spec(layer, binding, &spec));
    bool image = layer->shape.image && cf_conditioner_is_convolutional(spec);
    cf_shape shape = image ? layer->shape : cf_vector(layer->features);
    cf_conditioner_sizes sizes = {.shape = shape,
                                  .context = cf_vector(times + cf_shape_features(layer->context)),
                                  .image = shape,
                                  .outputs = layer->features,
                                  .groups = 1};
    return cf_conditioner_bind(&state->network, spec, binding, "network", sizes, true);
}

static cf_solver solver_named(const char *name) {
    size_t i = 0;
    while (strcmp(solver_names[i], name) != 0)
        i++;
    return (cf_solver)i;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *steps = cf_spec_get(layer->spec, "steps");
    const cf_setting *probes = cf_spec_get(layer->spec, "probes");
    continuous_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->frequencies = (size_t)cf_spec_int(layer->spec, "frequencies");
    state->probes = probes->kind == CF_NONE ? 0 : (size_t)probes->integers[0];
    state->solver = solver_named(cf_spec_string(layer->spec, "solver"));
    state->steps = cf_solver_is_adaptive(state->solver) ? MAX_STEPS : EQUAL_STEPS;
    if (steps->kind != CF_NONE)
        state->steps = (uint32_t)steps->integers[0];
    state->rtol = cf_spec_real(layer->spec, "rtol");
    state->atol = cf_spec_real(layer->spec, "atol");
    return bind_network(layer, binding);
}

/* ---- the equation ---- */

/* t, or cos(k pi t) of all k and then the sines, before the context. */
static cf_value time_and_context(const continuous_state *state, cf_builder *b, cf_value t,
                                 cf_value context) {
    cf_value all = CF_NO_VALUE;
    if (state->frequencies == 0)
        return cf_concat(b, (cf_value[]){t, context}, 2);
    for (size_t i = 0; i < 2 * state->frequencies; i++) {
        size_t k = i % state->frequencies + 1;
        cf_value wave = cf_cosine(b, t, 0.5 * (double)k, i < state->frequencies ? 0.0 : -0.25);
        all = cf_concat(b, (cf_value[]){all, wave}, 2);
    }
    return cf_concat(b, (cf_value[]){all, context}, 2);
}

cf_value cf_continuous_velocity(const cf_layer *layer, cf_builder *b, cf_value t, cf_value x,
                                cf_value context) {
    const continuous_state *state = layer->state;
    cf_value given = time_and_context(state, b, t, context);
    return cf_broadcast(b, cf_conditioner_emit(&state->network, b, x, given));
}

/* The slope of the features and, behind them, of the log-determinant: the network's outputs and
 * their divergence. */
static cf_value slope(cf_builder *b, const void *context, cf_value t, cf_value y) {
    const slope_context *s = context;
    const continuous_state *state = s->layer->state;
    size_t n = s->layer->features;
    cf_value x = cf_slice(b, y, 0, n), divergence = CF_NO_VALUE, out;
    if (s->backwards)
        t = cf_scale_shift(b, t, -1.0, 1.0);
    cf_value given = time_and_context(state, b, t, s->context);
    if (!s->log_det)
        out = cf_conditioner_emit(&state->network, b, x, given);
    else if (!cf_is_none(s->noise))
        out = cf_estimate_divergence(&state->network, b, x, given, state->probes, s->noise,
                                     &divergence);
    else
        out = cf_emit_divergence(&state->network, b, x, given, &divergence);
    out = cf_concat(b, (cf_value[]){cf_broadcast(b, out), divergence}, 2);
    return s->backwards ? cf_scale_shift(b, out, -1.0, 0.0) : out;
}

static cf_value solve(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                      bool backwards, cf_value *log_det) {
    const continuous_state *state = layer->state;
    size_t n = layer->features;
    slope_context s = {.layer = layer,
                       .context = context,
                       .backwards = backwards,
                       .log_det = cf_builder_wants_log_det(b)};
    cf_value zero = s.log_det ? cf_constant(b, CF_BATCHED, 1, 0.0) : CF_NO_VALUE;
    if (s.log_det && state->probes > 0 && cf_builder_mode(b) == CF_TRAINING)
        s.noise = cf_random_uniform_samples(b, n * state->probes, cf_next_stream(b));
    cf_ode_spec equation = {.function = slope,
                            .context = &s,
                            .context_size = sizeof s,
                            .start = cf_concat(b, (cf_value[]){cf_broadcast(b, x), zero}, 2),
                            .solver = state->solver,
                            .steps = state->steps,
                            .rtol = state->rtol,
                            .atol = state->atol,
                            .apart = s.log_det ? 1 : 0};
    cf_value y = cf_ode(b, &equation, NULL);
    *log_det = s.log_det ? cf_slice(b, y, n, 1) : CF_NO_VALUE;
    return cf_slice(b, y, 0, n);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    return solve(layer, b, u, context, false, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    return solve(layer, b, x, context, true, log_det);
}

/* ---- the type ---- */

static cf_status check_number(const cf_spec *spec, const char *name, int64_t least, int64_t most) {
    const cf_setting *setting = cf_spec_get(spec, name);
    if (setting->kind == CF_NONE)
        return CF_OK;
    if (setting->integers[0] >= least && setting->integers[0] <= most)
        return CF_OK;
    return cf_fail(CF_INVALID, "Continuous: %s must be from %lld to %lld, got %lld", name,
                   (long long)least, (long long)most, (long long)setting->integers[0]);
}

static cf_status check(const cf_spec *spec) {
    double rtol = cf_spec_real(spec, "rtol"), atol = cf_spec_real(spec, "atol");
    CF_TRY(check_number(spec, "steps", 1, 1 << 20));
    CF_TRY(check_number(spec, "frequencies", 0, 1024));
    CF_TRY(check_number(spec, "probes", 1, 1024));
    if (!(rtol >= 0.0 && rtol <= 1.0))
        return cf_fail(CF_INVALID, "Continuous: rtol must be from 0 to 1, got %g", rtol);
    if (!(atol >= 0.0))
        return cf_fail(CF_INVALID, "Continuous: atol must be 0 or more, got %g", atol);
    return CF_OK;
}

static const cf_layer_methods methods = {.bind = bind, .forward = forward, .inverse = inverse};

static const cf_option options[] = {
    {.name = "network",
     .kinds = CF_OPTION_SPEC | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .spec_role = "conditioner",
     .doc = "The velocity v, of smooth activations: it reads x, the time and the context. None is "
            "``MLP((64, 64), 'silu')``. With up to two hidden layers an MLP's exact divergence "
            "costs as much as "
            "one more hidden layer; of other networks, a gradient for each feature."},
    {.name = "solver",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("dopri5"),
     .choices = solver_names,
     .doc = "``'dopri5'`` (Dormand and Prince) and ``'tsit5'`` (Tsitouras) choose each sample's "
            "steps; "
            "``'rk4'`` and ``'euler'`` make equal ones."},
    {.name = "steps",
     .kinds = CF_OPTION_INT | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "How many equal steps, None is 20; or how many may be tried, None is 1000: a sample "
            "that needs more is NaN. A gradient keeps all of them in memory."},
    {.name = "rtol",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1e-5),
     .doc = "Of the error of a step, relative to x. The dtype's limit is 4 units in the last "
            "place."},
    {.name = "atol",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1e-6),
     .doc = "The absolute error of a step, beside the relative one."},
    {.name = "frequencies",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(3),
     .doc = "The network reads the time as ``cos(k pi t)``, k from 1 to this, and then as many "
            "sines; 0: "
            "as t."},
    {.name = "probes",
     .kinds = CF_OPTION_INT | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "In the steps of a fit, estimate the divergence by so many random vectors "
            "(Hutchinson; FFJORD); "
            "None is exact. Everything else is exact in any case."},
};

const cf_spec_type cf_continuous_type = {
    .name = "Continuous",
    .role = "layer",
    .doc =
        "A continuous flow: x is the solution at t = 1 of ``dx/dt = v(x, t)`` that begins at u at\n"
        "t = 0, with a network for v.\n\n"
        "``log_det`` is the integral of the divergence of v along the solution. Both directions "
        "are solved\n"
        "numerically, each sample by its own steps, so that its result does not depend on the "
        "others: the\n"
        "error of each step of x, and that of ``log_det``, is at most ``atol + rtol |x|`` in the "
        "root mean square.\n"
        "Without ``log_det``, as in ``sample``, the steps are chosen for x alone. Gradients are "
        "those of the steps\n"
        "as they were made. A new layer is the identity.\n\n"
        "References\n----------\n"
        "Chen et al. 2018, Neural ordinary differential equations, arXiv:1806.07366.\n"
        "Grathwohl et al. 2019, FFJORD, arXiv:1810.01367.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
