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
    double looser; /* both in the steps of a fit, as a multiple */
    double kinetic, jacobian;
} continuous_state;

/* What the slope needs; its time is that of the flow. */
typedef struct {
    const cf_layer *layer;
    cf_value context, noise;
    bool backwards; /* from the data to the base: the solver's time is 1 - t */
    bool log_det, penalty;
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
    state->looser = state->rtol > 0.0 ? cf_spec_real(layer->spec, "fit_rtol") / state->rtol : 1.0;
    state->looser = state->looser > 1.0 ? state->looser : 1.0;
    state->kinetic = cf_spec_real(layer->spec, "kinetic");
    state->jacobian = cf_spec_real(layer->spec, "jacobian");
    layer->penalized = state->kinetic > 0.0 || state->jacobian > 0.0;
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

/* kinetic |v|^2 + jacobian |dv/dx|^2, one feature. */
static cf_value penalty_of(const continuous_state *state, cf_builder *b, cf_value v,
                           cf_value squares) {
    cf_value energy = CF_NO_VALUE, other = CF_NO_VALUE;
    if (state->kinetic > 0.0)
        energy = cf_scale_shift(b, cf_sum_features(b, cf_multiply(b, v, v)), state->kinetic, 0.0);
    if (state->jacobian > 0.0)
        other = cf_scale_shift(b, squares, state->jacobian, 0.0);
    return cf_add_optional(b, energy, other);
}

/* The slope of the features and, behind them, of the log-determinant, the divergence of the
 * network's outputs, and of the penalty, whatever the direction. */
static cf_value slope(cf_builder *b, const void *context, cf_value t, cf_value y) {
    const slope_context *s = context;
    const continuous_state *state = s->layer->state;
    size_t n = s->layer->features;
    cf_value x = cf_slice(b, y, 0, n), divergence = CF_NO_VALUE, squares = CF_NO_VALUE, out;
    cf_value *wanted = s->penalty && state->jacobian > 0.0 ? &squares : NULL;
    if (s->backwards)
        t = cf_scale_shift(b, t, -1.0, 1.0);
    cf_value given = time_and_context(state, b, t, s->context);
    if (!s->log_det)
        out = cf_conditioner_emit(&state->network, b, x, given);
    else if (!cf_is_none(s->noise))
        out = cf_estimate_divergence(&state->network, b, x, given, state->probes, s->noise,
                                     &divergence, wanted);
    else
        out = cf_emit_divergence(&state->network, b, x, given, &divergence, wanted);
    out = cf_broadcast(b, out);
    cf_value penalty = s->penalty ? penalty_of(state, b, out, squares) : CF_NO_VALUE;
    out = cf_concat(b, (cf_value[]){out, divergence}, 2);
    if (s->backwards)
        out = cf_scale_shift(b, out, -1.0, 0.0);
    return cf_concat(b, (cf_value[]){out, penalty}, 2);
}

static cf_value solve(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                      bool backwards, cf_value *log_det) {
    const continuous_state *state = layer->state;
    size_t n = layer->features;
    slope_context s = {.layer = layer,
                       .context = context,
                       .backwards = backwards,
                       .log_det = cf_builder_wants_log_det(b)};
    bool training = cf_builder_mode(b) == CF_TRAINING;
    s.penalty = s.log_det && layer->penalized && cf_builder_wants_penalty(b);
    cf_value zeros = CF_NO_VALUE;
    size_t others = (s.log_det ? 1 : 0) + (s.penalty ? 1 : 0);
    if (others > 0)
        zeros = cf_constant(b, CF_BATCHED, others, 0.0);
    if (s.log_det && state->probes > 0 && training)
        s.noise = cf_random_uniform_samples(b, n * state->probes, cf_next_stream(b));
    cf_ode_spec equation = {.function = slope,
                            .context = &s,
                            .context_size = sizeof s,
                            .start = cf_concat(b, (cf_value[]){cf_broadcast(b, x), zeros}, 2),
                            .solver = state->solver,
                            .steps = state->steps,
                            .rtol = state->rtol * (training ? state->looser : 1.0),
                            .atol = state->atol * (training ? state->looser : 1.0),
                            .apart = others};
    cf_value y = cf_ode(b, &equation, NULL);
    if (s.penalty)
        cf_builder_set_penalty(b,
                               cf_add_optional(b, cf_builder_penalty(b), cf_slice(b, y, n + 1, 1)));
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
    {.name = "fit_rtol",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1e-3),
     .range = &(const cf_range){0.0, 1.0, false, false},
     .doc = "`rtol` in the steps of a fit, where `atol` grows by the same factor; unless `rtol` is "
            "larger, or 0. Whatever scores, validation too, is to `rtol` and `atol`."},
    {.name = "kinetic",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .range = &(const cf_range){0.0, INFINITY, false, true},
     .doc = "Of fits by likelihood, the weight of the integral over t of ``|v(x, t)|^2`` along the "
            "solution, which they minimise beside the loss (RNODE): straighter solutions need "
            "fewer steps. History has it as ``penalty``."},
    {.name = "jacobian",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .range = &(const cf_range){0.0, INFINITY, false, true},
     .doc = "Likewise of the integral of the sum of squares of dv/dx; by `probes` it is that of "
            "``|e^T dv/dx|^2``, else exact, which takes a gradient for each feature."},
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
        "Grathwohl et al. 2019, FFJORD, arXiv:1810.01367.\n"
        "Finlay et al. 2020, How to train your neural ODE: the world of Jacobian and kinetic\n"
        "regularization, arXiv:2002.02798 (RNODE): `kinetic` and `jacobian`.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
