#include "nn/contraction.h"

#include <math.h>
#include <string.h>

#include "base/shape.h"
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

static cf_status bind_vectors(cf_contractive_linear *linear, cf_binding *binding) {
    size_t pixels = linear->kernel == 1 ? 1 : cf_pixels(linear->in);
    cf_statistic vector = {.momentum = 1.0, .of_weights = true};
    linear->left = linear->right = vector;
    CF_TRY(cf_bind_statistic(binding, "left", linear->outputs * pixels, &linear->left));
    return cf_bind_statistic(binding, "right", linear->in.channels * pixels, &linear->right);
}

static cf_status bind_linear(const cf_contraction_net *net, cf_contractive_linear *linear,
                             cf_binding *binding, bool zero) {
    size_t dims = net->kernels == NULL ? 2 : 4, k = linear->kernel;
    size_t shape[4] = {linear->outputs, linear->in.channels, k, k};
    double unit = zero ? 0.0 : 1.0 / sqrt((double)(linear->in.channels * k * k));
    CF_TRY(
        cf_bind_parameter(binding, "weight", dims, shape, CF_WEIGHT_GAIN * unit, &linear->weight));
    CF_TRY(cf_bind_parameter(binding, "bias", 1, shape, unit, &linear->bias));
    return net->norm == CF_NORM_SPECTRAL ? bind_vectors(linear, binding) : CF_OK;
}

/* The context comes in once, as a number a channel of the first layer. */
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

static size_t kernel_of(const cf_contraction_net *net, size_t i) {
    return net->kernels == NULL ? 1 : (size_t)net->kernels[net->kernel_count == 1 ? 0 : i];
}

cf_status cf_contraction_bind(cf_contraction_net *net, cf_binding *binding, cf_shape shape,
                              const int64_t *hidden, size_t count) {
    const char *name = net->kernels == NULL ? "linear" : "conv";
    cf_shape in = net->kernels == NULL ? cf_vector(cf_shape_features(shape)) : shape;
    size_t channels = in.channels;
    net->layers = count + 1;
    CF_TRY(cf_arena_alloc(binding->arena, &net->linear, net->layers, sizeof *net->linear));
    for (size_t i = 0; i < net->layers; i++) {
        cf_contractive_linear *linear = &net->linear[i];
        size_t mark;
        linear->in = in;
        linear->outputs = i < count ? (size_t)hidden[i] : channels;
        linear->kernel = kernel_of(net, i);
        CF_TRY(bind_activation(net, linear, binding, i));
        CF_TRY(cf_binding_enter(binding, name, (long)i, &mark));
        cf_status status = bind_linear(net, linear, binding, i == count);
        cf_binding_leave(binding, mark);
        CF_TRY(status);
        in.channels = linear->outputs;
    }
    return bind_context(net, binding);
}

size_t cf_contraction_features(const cf_contraction_net *net) {
    return cf_shape_features(net->linear[0].in);
}

/* ---- parameters ---- */

/* Half way from the coefficient to 1. */
double cf_contraction_bound(double coefficient) {
    return 0.5 * (1.0 + coefficient);
}

double cf_contraction_rate(const cf_contraction_net *net) {
    return pow(cf_contraction_bound(net->coefficient), (double)net->layers);
}

void cf_contraction_emit_params(const cf_contraction_net *net, cf_builder *b, cf_value context,
                                cf_contraction_params *out) {
    *out = (cf_contraction_params){.net = net};
    for (size_t i = 0; i < net->layers; i++) {
        const cf_contractive_linear *linear = &net->linear[i];
        out->weight[i] = cf_contraction_weight(net, b, linear);
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

/* W x + bias, which may be batched. */
static cf_value through(const cf_contractive_linear *linear, cf_builder *b, cf_value weight,
                        cf_value bias, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    bool batched = !cf_is_none(bias) && cf_value_kind(b, bias) == CF_BATCHED;
    cf_value fused = batched ? CF_NO_VALUE : bias;
    cf_value y = linear->kernel == 1
                     ? cf_channels_matmul(b, weight, fused, x, linear->in, linear->outputs)
                     : cf_conv(b, weight, fused, x, linear->in, linear->outputs, linear->kernel);
    return batched ? cf_add(b, y, cf_broadcast_channels(b, bias, linear->in)) : y;
}

/* W S v with the slopes S of an activation, or without them. */
static cf_value push_vector(const cf_contractive_linear *linear, cf_builder *b, cf_value weight,
                            cf_value slope, cf_value v) {
    if (!cf_is_none(slope))
        v = cf_multiply(b, v, slope);
    return through(linear, b, weight, CF_NO_VALUE, cf_broadcast(b, v));
}

/* The sum of magnitudes over the root of their number: at most their norm. */
static cf_value add_magnitude(cf_builder *b, cf_value sum, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    double share = 1.0 / sqrt((double)cf_value_size(b, x));
    cf_value size = cf_scale_shift(b, cf_sum_features(b, cf_abs(b, x)), share, 0.0);
    return cf_add_optional(b, sum, size);
}

/* W^T w; the turned kernel is read within loops, and made before. */
static cf_value transposed(const cf_contractive_linear *linear, cf_builder *b, cf_value weight,
                           cf_value w) {
    size_t inputs = linear->in.channels, outputs = linear->outputs;
    cf_shape shape = {outputs, linear->in.height, linear->in.width, linear->in.image};
    if (cf_pixels(shape) == 1 && linear->kernel == 1)
        return cf_matmul_transposed(b, weight, w, inputs);
    return cf_conv(b, cf_turn_kernel(b, weight, outputs, inputs, linear->kernel), CF_NO_VALUE, w,
                   shape, inputs, linear->kernel);
}

/* What is asked for beside g(x); each may be NULL. */
typedef struct {
    cf_value *jacobian, *magnitude;
    cf_value *slope;  /* [layers] */
    cf_value *vector; /* [count], which the Jacobian is applied to */
    size_t count;
} wanted;

static cf_value emit(const cf_contraction_params *params, cf_builder *b, cf_value x, wanted want) {
    const cf_contraction_net *net = params->net;
    cf_value h = x, sum = CF_NO_VALUE;
    for (size_t i = 0; i < net->layers && cf_builder_status(b) == CF_OK; i++) {
        const cf_contractive_linear *linear = &net->linear[i];
        cf_value slope = CF_NO_VALUE, weight = params->weight[i], bias = params->bias[i];
        bool sloped = want.jacobian != NULL || want.slope != NULL;
        if (follows_activation(net, i))
            h = activate(net, b, params->slope[i], h, sloped ? &slope : NULL);
        if (want.magnitude != NULL)
            sum = add_magnitude(b, add_magnitude(b, sum, h),
                                cf_broadcast_channels(b, bias, linear->in));
        h = through(linear, b, weight, bias, h);
        for (size_t k = 0; k < want.count; k++)
            want.vector[k] = push_vector(linear, b, weight, slope, want.vector[k]);
        if (want.slope != NULL)
            want.slope[i] = slope;
        if (want.jacobian != NULL)
            *want.jacobian =
                cf_contraction_push(params, b, i, slope, i == 0 ? CF_NO_VALUE : *want.jacobian);
    }
    if (want.magnitude != NULL)
        *want.magnitude = sum;
    return h;
}

cf_value cf_contraction_emit(const cf_contraction_params *params, cf_builder *b, cf_value x,
                             cf_value *magnitude) {
    return emit(params, b, x, (wanted){.magnitude = magnitude});
}

cf_value cf_contraction_products(const cf_contraction_params *params, cf_builder *b, cf_value x,
                                 cf_value *vector, size_t count, cf_value *slope) {
    return emit(params, b, x, (wanted){.vector = vector, .count = count, .slope = slope});
}

cf_value cf_contraction_pull(const cf_contraction_params *params, cf_builder *b,
                             const cf_value *slope, cf_value w) {
    const cf_contraction_net *net = params->net;
    for (size_t i = net->layers; i-- > 0 && cf_builder_status(b) == CF_OK;) {
        w = transposed(&net->linear[i], b, params->weight[i], w);
        if (!cf_is_none(slope[i]))
            w = cf_multiply(b, w, slope[i]);
    }
    return w;
}

cf_value cf_contraction_jacobian(const cf_contraction_params *params, cf_builder *b, cf_value x,
                                 cf_value *jacobian) {
    cf_value g = emit(params, b, x, (wanted){.jacobian = jacobian});
    *jacobian = cf_contraction_matrix(params, b, *jacobian);
    return g;
}
