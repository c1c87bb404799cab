#include "nn/contraction.h"

#include <math.h>
#include <string.h>

#include "nn/dense.h"
#include "ops/ops.h"

/* ---- activations ---- */

static cf_value leaky_relu(cf_builder *b, cf_value x) {
    return cf_leaky_relu(b, x, 0.01);
}

static cf_value sine(cf_builder *b, cf_value x) {
    return cf_cosine(b, x, 0.5 / 3.14159265358979323846, -0.25);
}

static cf_value identity(cf_builder *b, cf_value x) {
    (void)b;
    return x;
}

/* The first one, LipSwish, is not among the functions: it has a parameter. */
static cf_value (*const functions[])(cf_builder *, cf_value) = {
    NULL, cf_elu, cf_tanh, cf_relu, leaky_relu, cf_softplus, cf_sigmoid, sine, identity};

const char *const cf_contraction_activations[] = {"lipswish",   "elu",      "tanh",    "relu",
                                                  "leaky_relu", "softplus", "sigmoid", "sine",
                                                  "identity",   NULL};

static bool is_lipswish(const cf_contraction_net *net) {
    return strcmp(net->activation, "lipswish") == 0;
}

/* Whether an activation stands before dense layer i. */
static bool follows_activation(const cf_contraction_net *net, size_t i) {
    return i > 0 || net->activation_first;
}

/* LipSwish is x sigmoid(x softplus(beta)) / 1.1: the steepest slope of x sigmoid(x) is 1.0998. */
static cf_value value_of_activation(const cf_contraction_net *net, cf_builder *b, cf_value slope,
                                    cf_value x) {
    if (is_lipswish(net)) {
        cf_value share = cf_sigmoid(b, cf_multiply(b, x, slope));
        return cf_scale_shift(b, cf_multiply(b, x, share), 1.0 / 1.1, 0.0);
    }
    for (size_t i = 1; cf_contraction_activations[i] != NULL; i++)
        if (strcmp(cf_contraction_activations[i], net->activation) == 0)
            return functions[i](b, x);
    return cf_builder_fail(b, CF_INVALID, "no activation is called '%s'", net->activation);
}

/* The activation of x and, unless it is NULL, its slope. */
static cf_value activate(const cf_contraction_net *net, cf_builder *b, cf_value beta, cf_value x,
                         cf_value *slope) {
    if (slope == NULL)
        return value_of_activation(net, b, beta, x);
    if (cf_builder_status(b) == CF_OK && cf_whole_node(b, x) == NULL)
        x = cf_copy(b, x);
    cf_value y = value_of_activation(net, b, beta, x);
    *slope = cf_derivative(b, y, x);
    return y;
}

/* ---- binding ---- */

static cf_status bind_activation(const cf_contraction_net *net, cf_contractive_linear *linear,
                                 cf_binding *binding, size_t i) {
    size_t mark;
    if (!is_lipswish(net) || !follows_activation(net, i))
        return CF_OK;
    CF_TRY(cf_binding_enter(binding, "activation", (long)i, &mark));
    cf_status status = cf_bind_parameter_constant(binding, "beta", 1, 0.5, &linear->slope);
    cf_binding_leave(binding, mark);
    return status;
}

static cf_status bind_linear(cf_contractive_linear *linear, cf_binding *binding, bool zero) {
    double unit = zero ? 0.0 : 1.0 / sqrt((double)linear->inputs);
    cf_statistic vector = {.momentum = 1.0, .of_weights = true};
    CF_TRY(cf_bind_matrix(binding, "weight", linear->outputs, linear->inputs, CF_WEIGHT_GAIN * unit,
                          NULL, &linear->weight));
    CF_TRY(cf_bind_parameter(binding, "bias", 1, &linear->outputs, unit, &linear->bias));
    linear->left = linear->right = vector;
    CF_TRY(cf_bind_statistic(binding, "left", linear->outputs, &linear->left));
    return cf_bind_statistic(binding, "right", linear->inputs, &linear->right);
}

static cf_status bind_context(cf_contraction_net *net, cf_binding *binding) {
    size_t mark, rows = net->linear[0].outputs;
    if (net->context == 0)
        return CF_OK;
    CF_TRY(cf_binding_enter(binding, "context", -1, &mark));
    cf_status status =
        cf_bind_matrix(binding, "weight", rows, net->context,
                       net->layers == 1 ? 0.0 : CF_WEIGHT_GAIN / sqrt((double)net->context), NULL,
                       &net->context_weight);
    cf_binding_leave(binding, mark);
    return status;
}

cf_status cf_contraction_bind(cf_contraction_net *net, cf_binding *binding, size_t features,
                              const int64_t *hidden, size_t count) {
    size_t inputs = features;
    net->layers = count + 1;
    CF_TRY(cf_arena_alloc(binding->arena, &net->linear, net->layers, sizeof *net->linear));
    for (size_t i = 0; i < net->layers; i++) {
        cf_contractive_linear *linear = &net->linear[i];
        size_t mark;
        linear->inputs = inputs;
        linear->outputs = i < count ? (size_t)hidden[i] : features;
        CF_TRY(bind_activation(net, linear, binding, i));
        CF_TRY(cf_binding_enter(binding, "linear", (long)i, &mark));
        cf_status status = bind_linear(linear, binding, i == count);
        cf_binding_leave(binding, mark);
        CF_TRY(status);
        inputs = linear->outputs;
    }
    return bind_context(net, binding);
}

/* ---- weights ---- */

/* Half way from the coefficient to 1. */
double cf_contraction_bound(double coefficient) {
    return 0.5 * (1.0 + coefficient);
}

double cf_contraction_rate(const cf_contraction_net *net) {
    return pow(cf_contraction_bound(net->coefficient), (double)net->layers);
}

static cf_value normalized_weight(const cf_contraction_net *net, cf_builder *b,
                                  const cf_contractive_linear *linear) {
    size_t rows = linear->outputs, columns = linear->inputs;
    double share = net->coefficient / cf_contraction_bound(net->coefficient);
    cf_value weight = cf_parameter(b, linear->weight, rows * columns), factor;
    cf_value left = cf_parameter(b, linear->left.parameter, rows);
    cf_value right = cf_parameter(b, linear->right.parameter, columns);
    cf_singular_vectors(b, weight, rows, share, &left, &right, &factor);
    if (cf_builder_mode(b) == CF_TRAINING) {
        cf_output_statistic(b, linear->left.output, left);
        cf_output_statistic(b, linear->right.output, right);
    }
    cf_value outer =
        cf_multiply(b, cf_repeat_each(b, left, columns), cf_repeat_whole(b, right, rows));
    cf_value value = cf_multiply(b, cf_sum_features(b, cf_multiply(b, weight, outer)), factor);
    cf_value above = cf_relu(b, cf_scale_shift(b, value, 1.0 / net->coefficient, -1.0));
    cf_value one = cf_constant(b, CF_UNBATCHED, 1, 1.0);
    return cf_multiply(b, weight, cf_divide(b, one, cf_scale_shift(b, above, 1.0, 1.0)));
}

void cf_contraction_emit_params(const cf_contraction_net *net, cf_builder *b, cf_value context,
                                cf_contraction_params *out) {
    *out = (cf_contraction_params){.net = net};
    for (size_t i = 0; i < net->layers; i++) {
        const cf_contractive_linear *linear = &net->linear[i];
        out->weight[i] = normalized_weight(net, b, linear);
        out->bias[i] = cf_parameter(b, linear->bias, linear->outputs);
        if (is_lipswish(net) && follows_activation(net, i))
            out->slope[i] = cf_softplus(b, cf_parameter(b, linear->slope, 1));
    }
    size_t rows = net->linear[0].outputs;
    if (net->context > 0)
        out->bias[0] = cf_matmul(b, cf_parameter(b, net->context_weight, rows * net->context),
                                 out->bias[0], context, rows);
}

/* ---- the map ---- */

/* W S D with the slopes S of an activation, or without them, for D of so many columns; W S where D
 * is CF_NO_VALUE, the identity. */
static cf_value push_forward(cf_builder *b, cf_value weight, size_t outputs, cf_value slope,
                             cf_value derivative, size_t columns) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_is_none(derivative))
        return cf_is_none(slope) ? weight
                                 : cf_multiply(b, weight, cf_repeat_whole(b, slope, outputs));
    cf_shape shape = {cf_value_size(b, derivative) / columns, 1, columns, true};
    if (!cf_is_none(slope))
        derivative = cf_multiply(b, derivative, cf_broadcast_channels(b, slope, shape));
    return cf_channels_matmul(b, weight, CF_NO_VALUE, cf_broadcast(b, derivative), shape, outputs);
}

/* The sum of magnitudes over the root of their number: at most their norm. */
static cf_value add_magnitude(cf_builder *b, cf_value sum, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    double share = 1.0 / sqrt((double)cf_value_size(b, x));
    cf_value size = cf_scale_shift(b, cf_sum_features(b, cf_abs(b, x)), share, 0.0);
    return cf_add_optional(b, sum, size);
}

cf_value cf_contraction_emit(const cf_contraction_params *params, cf_builder *b, cf_value x,
                             cf_value *derivative, cf_value *magnitude) {
    const cf_contraction_net *net = params->net;
    bool along = derivative != NULL && !cf_is_none(*derivative);
    cf_value h = x, pushed = along ? *derivative : CF_NO_VALUE, sum = CF_NO_VALUE;
    for (size_t i = 0; i < net->layers && cf_builder_status(b) == CF_OK; i++) {
        cf_value slope = CF_NO_VALUE, weight = params->weight[i], bias = params->bias[i];
        size_t outputs = net->linear[i].outputs;
        bool fused = cf_value_kind(b, bias) == CF_UNBATCHED;
        if (follows_activation(net, i))
            h = activate(net, b, params->slope[i], h, derivative != NULL ? &slope : NULL);
        if (magnitude != NULL)
            sum = add_magnitude(b, add_magnitude(b, sum, h), bias);
        h = cf_matmul(b, weight, fused ? bias : CF_NO_VALUE, h, outputs);
        if (!fused)
            h = cf_add(b, h, bias);
        if (derivative != NULL)
            pushed =
                push_forward(b, weight, outputs, slope, pushed, along ? 1 : net->linear[0].inputs);
    }
    if (derivative != NULL)
        *derivative = cf_broadcast(b, pushed);
    if (magnitude != NULL)
        *magnitude = sum;
    return h;
}
