/* The integral of a positive network, one for each feature with weights of its own, as a transform
 * (Wehenkel and Louppe 2019). */
#include <string.h>

#include "base/memory.h"
#include "base/quadrature.h"
#include "layers/positive_scale.h"
#include "layers/transform.h"
#include "nn/dense.h"
#include "nn/feature_networks.h"
#include "ops/root.h"

typedef struct {
    cf_feature_networks networks;
    const cf_spec *scale;
    size_t points;
    double *node, *weight; /* of the rule, on [0, 1] */
} integrated_state;

/* ---- binding ---- */

/* The last bias is such that the integrand starts at 1. */
static cf_status bind_last(integrated_state *state, cf_binding *binding) {
    cf_feature_networks *own = &state->networks;
    size_t k = own->layers - 1, inputs = cf_feature_networks_inputs(own, k);
    double *weight, *bias, one;
    CF_TRY(cf_positive_scale_param_of_one(state->scale, &one));
    CF_TRY(cf_alloc(&weight, own->features, (inputs + 1) * sizeof *weight));
    bias = weight + own->features * inputs;
    for (size_t f = 0; f < own->features; f++)
        bias[f] = one;
    cf_status status = cf_feature_networks_bind(own, binding, k, weight, bias);
    cf_free(weight);
    return status;
}

static cf_status bind(cf_transform *transform, cf_binding *binding, cf_features transformed) {
    const cf_spec *spec = transform->spec;
    bool gauss = strcmp(cf_spec_string(spec, "rule"), "gauss_legendre") == 0;
    integrated_state *state;
    cf_spec *scale;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    transform->state = state;
    CF_TRY(cf_positive_scale_spec(cf_spec_get(spec, "scale"), &scale));
    CF_TRY(cf_binding_keep(binding, scale));
    state->scale = scale;
    state->points = (size_t)cf_spec_int(spec, "points");
    CF_TRY(cf_arena_alloc(binding->arena, &state->node, 2 * state->points, sizeof *state->node));
    state->weight = state->node + state->points;
    (gauss ? cf_gauss_legendre : cf_clenshaw_curtis)(state->points, state->node, state->weight);
    CF_TRY(cf_feature_networks_size(&state->networks, spec, binding, transformed.count,
                                    transformed.feature, (size_t)cf_spec_int(spec, "signal")));
    for (size_t k = 0; k + 1 < state->networks.layers; k++)
        CF_TRY(cf_feature_networks_bind(&state->networks, binding, k, NULL, NULL));
    return bind_last(state, binding);
}

/* ---- the map ---- */

/* What is emitted of the networks of some features. */
typedef struct {
    const integrated_state *state;
    const char *activation;
    size_t count;
    cf_value weight[CF_MAX_FEATURE_LAYERS], bias[CF_MAX_FEATURE_LAYERS];
    cf_value column, of_signal;   /* of the first layer */
    cf_value nodes, node_weights; /* the rule's */
    cf_value constant;
} integrand;

/* log g, of the first layer's part that is due to t. */
static cf_value log_integrand(const integrand *g, cf_builder *b, cf_value of_t) {
    const cf_feature_networks *own = &g->state->networks;
    cf_value h = cf_add(b, of_t, g->of_signal);
    for (size_t k = 1; k < own->layers; k++) {
        cf_value a = cf_activation(b, g->activation, h);
        h = cf_grouped_matmul(b, g->weight[k], g->bias[k], a, g->count * own->units[k], g->count);
    }
    return cf_log_scale(b, g->state->scale, h);
}

static cf_value first_layer(const integrand *g, cf_builder *b, cf_value x) {
    return cf_multiply(b, cf_repeat_each(b, x, g->state->networks.units[0]), g->column);
}

/* A loop over the points of the rule. */
typedef struct {
    integrand g;
    cf_value of_x; /* the first layer's part that is due to x */
} summation;

static void add_point(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                      cf_value *goes_on) {
    const summation *s = context;
    size_t points = s->g.state->points;
    cf_value node = cf_stack_block(b, s->g.nodes, points);
    cf_value weight = cf_stack_block(b, s->g.node_weights, points);
    cf_value at = cf_exp(b, log_integrand(&s->g, b, cf_multiply(b, s->of_x, node)));
    next[0] = cf_add(b, state[0], cf_multiply(b, at, weight));
    (void)goes_on;
}

/* constant + the rule's integral of g from 0 to x. */
static cf_value integrate(const integrand *g, cf_builder *b, cf_value x) {
    summation s = {*g, first_layer(g, b, x)};
    cf_value mean, zero = cf_constant(b, CF_BATCHED, g->count, 0.0);
    cf_while_spec loop = {.states = 1,
                          .initial = &zero,
                          .body = add_point,
                          .context = &s,
                          .context_size = sizeof s,
                          .max_iterations = (uint32_t)g->state->points,
                          .gradient = cf_recorded_steps};
    cf_while(b, &loop, &mean, NULL);
    return cf_add(b, cf_multiply(b, x, mean), g->constant);
}

static void evaluate(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    const integrand *g = context;
    (void)unfinished;
    *value = integrate(g, b, x);
    *slope = cf_exp(b, log_integrand(g, b, first_layer(g, b, x)));
}

static cf_value numbers(cf_builder *b, const double *number, size_t count) {
    cf_value all = CF_NO_VALUE;
    for (size_t i = 0; i < count; i++)
        all = cf_concat(b, (cf_value[]){all, cf_constant(b, CF_UNBATCHED, 1, number[i])}, 2);
    return cf_contiguous(b, all);
}

static integrand read(const cf_transform *transform, cf_builder *b, cf_value params, size_t count,
                      const int64_t *features) {
    const integrated_state *state = transform->state;
    const cf_feature_networks *own = &state->networks;
    integrand g = {.state = state,
                   .count = count,
                   .activation = cf_spec_string(transform->spec, "activation"),
                   .nodes = numbers(b, state->node, state->points),
                   .node_weights = numbers(b, state->weight, state->points),
                   .constant = cf_slice(b, params, own->signal * count, count)};
    for (size_t k = 0; k < own->layers; k++) {
        g.weight[k] = cf_feature_weight(own, b, k, features, count);
        g.bias[k] = cf_feature_bias(own, b, k, features, count);
    }
    g.column = cf_feature_column(b, g.weight[0], count, own->units[0]);
    g.of_signal =
        cf_feature_signal(b, g.weight[0], g.bias[0], params, count, own->units[0], own->signal);
    return g;
}

static size_t param_count(const cf_spec *spec) {
    return (size_t)cf_spec_int(spec, "signal") + 1;
}

static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    integrand g = read(transform, b, params, cf_value_size(b, u), features);
    cf_value x = u;
    if (!inverse) {
        cf_root_spec root = {.function = evaluate,
                             .context = &g,
                             .context_size = sizeof g,
                             .target = u,
                             .start = cf_clamp(b, cf_subtract(b, u, g.constant), -1e3, 1e3)};
        x = cf_root(b, &root, NULL);
    }
    cf_value log_slope = log_integrand(&g, b, first_layer(&g, b, x));
    *log_det = cf_sum_features(b, log_slope);
    if (!inverse) {
        *log_det = cf_scale_shift(b, *log_det, -1.0, 0.0);
        return x;
    }
    /* du/dx is g(x), not the derivative of the rule: a term that is 0 has that slope. */
    cf_value fixed = cf_detach(b, x), zero = cf_subtract(b, x, fixed);
    return cf_add(b, integrate(&g, b, fixed), cf_multiply(b, cf_exp(b, log_slope), zero));
}

/* Whether g stays away from 0 however far out x is: else the integral ends somewhere. */
static bool is_bounded_below(const cf_spec *scale, const char *activation) {
    const char *form = cf_spec_string(scale, "form");
    if (strcmp(activation, "tanh") == 0 || strcmp(activation, "sigmoid") == 0 ||
        strcmp(form, "softclip") == 0 || strcmp(form, "tanh") == 0)
        return true;
    if (cf_spec_int(scale, "reciprocal"))
        return strcmp(form, "sigmoid") == 0 || cf_spec_get(scale, "maximum")->kind != CF_NONE;
    return cf_spec_real(scale, "minimum") > 0.0;
}

static cf_status check(const cf_spec *spec) {
    const char *activation = cf_spec_string(spec, "activation");
    cf_spec *scale;
    CF_TRY(cf_feature_networks_check(spec));
    CF_TRY(cf_positive_scale_spec(cf_spec_get(spec, "scale"), &scale));
    cf_status status = CF_OK;
    if (!is_bounded_below(scale, activation))
        status = cf_fail(CF_INVALID,
                         "IntegratedNetwork: scale must not come near 0, where the map would not "
                         "reach all numbers: 'softclip', 'tanh', or a Scale with a minimum, got "
                         "'%s' with activation '%s'",
                         cf_spec_string(scale, "form"), activation);
    cf_spec_free(scale);
    return status;
}

static const cf_transform_methods methods = {
    .param_count = param_count, .apply = apply, .bind = bind};

static const char *const rules[] = {"gauss_legendre", "clenshaw_curtis", NULL};

static const cf_option options[] = {
    CF_FEATURE_NETWORK_OPTIONS(1.0),
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("elu"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity of the networks. The integral of a smooth one, ``'tanh'`` or "
            "``'silu'``, is nearly exact with few points."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the output of a network becomes the positive ``g``: a form of `Scale`, or a "
            "`Scale`; one that is bounded away from 0, unless the activation is bounded."},
    {.name = "rule",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("gauss_legendre"),
     .choices = rules,
     .doc = "By which the integral is computed: ``'gauss_legendre'``, or ``'clenshaw_curtis'``, "
            "the paper's."},
    {.name = "points",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(32),
     .range = &(const cf_range){2.0, 256.0, false, false},
     .doc = "Points of the rule."},
};

const cf_spec_type cf_integrated_network_type = {
    .name = "IntegratedNetwork",
    .role = "transform",
    .doc =
        "The integral of a positive network for each feature, with weights of its own: "
        "unconstrained monotone\nnetworks.\n\n"
        "``u_f = constant_f + integral of g_f(t, signal_f) dt`` from 0 to ``x_f``, by a rule of "
        "`points` points on that\n"
        "interval; ``g_f`` is the `scale` of a multilayer perceptron's output. "
        "``log_det`` of data to base is ``log(g_f(x_f))``, and the\n"
        "gradient in ``x_f`` is ``g_f(x_f)``; those of weights and signal differentiate the rule. "
        "Where the rule\n"
        "is not exact, as far out or with a ``g`` that is far from smooth, ``u`` is the rule's "
        "value in both\n"
        "directions, and the density is as exact as the rule. "
        "The other direction, sampling, solves for ``x``\n"
        "by Newton's method and bisection. "
        "Unconstrained parameters: the signal, then the constant; the weights are\n"
        "parameters of the layer, ``transform.linear0.weight`` of shape (features, outputs, "
        "inputs) and so on. A\nnew layer is the identity. Gradients of gradients with respect to "
        "what the integral depends on are an\nerror.\n\n"
        "References\n----------\n"
        "Wehenkel and Louppe 2019, Unconstrained monotonic neural networks, arXiv:1908.05164.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
