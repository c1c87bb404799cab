/* A monotone network for each feature, with weights of its own, as a transform (zuko's form of the
 * neural autoregressive flow of Huang et al. 2018). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/philox.h"
#include "layers/transform.h"
#include "nn/dense.h"
#include "nn/feature_networks.h"
#include "ops/root.h"

/* What is emitted of the networks of some features.
 *
 * Units of the second half of a hidden layer are kept with the opposite sign, h' = -h, so that all
 * have one activation a' = a(h'): the weights from and to them have it too. */
typedef struct {
    size_t count, layers;
    size_t units[CF_MAX_FEATURE_LAYERS];
    cf_value weight[CF_MAX_FEATURE_LAYERS], bias[CF_MAX_FEATURE_LAYERS]; /* with signs */
    cf_value column, of_signal;                                          /* of the first layer */
    const char *activation;
} networks;

/* ---- how it starts ---- */

static size_t first_half(size_t units) {
    return (units + 1) / 2;
}

/* Units of the first layer bend anywhere on [-CENTRES, CENTRES], where standardised data are, with
 * slopes up to SLOPES: where all bend at one place, or hardly, a network learns slowly. */
static const double SLOPES = 5.0, CENTRES = 3.0;

/* Where the networks, without a signal, are at x = 0 as their layers are bound: the numbers that
 * the next layer gets, [features, inputs], and their derivatives. */
typedef struct {
    double *value, *slope;
} progress;

static double uniform(const cf_binding *binding, size_t number) {
    return cf_philox_uniform(binding->seed, number, CF_STREAM_INITIAL_WEIGHTS,
                             (uint32_t)binding->parameters.count);
}

/* The weights of a unit of the first layer, of x and of the signal; returns its bias. */
static double start_first(const cf_binding *binding, double *weight, size_t inputs, size_t row) {
    size_t first = row * (inputs + 1);
    weight[0] = SLOPES * uniform(binding, first);
    for (size_t i = 1; i < inputs; i++)
        weight[i] = uniform(binding, first + i) / sqrt((double)inputs);
    return weight[0] * CENTRES * (2.0 * uniform(binding, first + inputs) - 1.0);
}

/* Those of a unit of another layer. */
static double start_other(const cf_binding *binding, double *weight, size_t inputs, size_t row) {
    size_t first = row * (inputs + 1);
    double scale = 1.0 / sqrt((double)inputs);
    for (size_t i = 0; i < inputs; i++)
        weight[i] = scale * uniform(binding, first + i);
    return scale * (2.0 * uniform(binding, first + inputs) - 1.0);
}

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Has the last layer give 0 at x = 0, with a slope of 1; returns its bias. */
static double normalise(double *weight, size_t inputs, const double *value, const double *slope) {
    double total = dot(weight, slope, inputs);
    for (size_t i = 0; i < inputs; i++)
        weight[i] /= total;
    return -dot(weight, value, inputs);
}

/* a(h) and its derivative; -a(-h) for units of the second half. */
static void activate(bool softplus, bool second_half, double *h, double *slope) {
    double sign = second_half ? -1.0 : 1.0, x = sign * *h;
    if (softplus) {
        *h = sign * (fmax(x, 0.0) + log1p(exp(-fabs(x))));
        *slope *= 1.0 / (1.0 + exp(-x));
    } else if (x < 0.0) {
        *h = sign * expm1(x);
        *slope *= exp(x);
    }
}

/* The weights and biases of linear layer k, and where the networks are after it. */
static void start_layer(const cf_transform *transform, const cf_binding *binding, size_t k,
                        double *weight, double *bias, const progress *before, progress *after) {
    const cf_feature_networks *own = transform->state;
    bool softplus = strcmp(cf_spec_string(transform->spec, "activation"), "softplus") == 0;
    size_t inputs = cf_feature_networks_inputs(own, k), units = own->units[k];
    for (size_t row = 0; row < own->features * units; row++) {
        double *w = weight + row * inputs;
        const double *value = before->value + row / units * inputs;
        const double *slope = before->slope + row / units * inputs;
        bias[row] =
            k == 0 ? start_first(binding, w, inputs, row) : start_other(binding, w, inputs, row);
        if (k + 1 == own->layers)
            bias[row] = normalise(w, inputs, value, slope);
        after->value[row] = dot(w, value, inputs) + bias[row];
        after->slope[row] = dot(w, slope, inputs);
        activate(softplus, row % units >= first_half(units), after->value + row,
                 after->slope + row);
    }
}

static size_t widest(const cf_feature_networks *own) {
    size_t width = cf_feature_networks_inputs(own, 0);
    for (size_t k = 0; k < own->layers; k++)
        width = own->units[k] > width ? own->units[k] : width;
    return width;
}

static cf_status bind_layers(const cf_transform *transform, cf_binding *binding, double *numbers,
                             size_t width) {
    cf_feature_networks *own = transform->state;
    size_t size = own->features * width, inputs = cf_feature_networks_inputs(own, 0);
    progress at[] = {{numbers, numbers + size}, {numbers + 2 * size, numbers + 3 * size}};
    double *bias = numbers + 4 * size, *weight = numbers + 5 * size;
    for (size_t i = 0; i < own->features * inputs; i++) {
        at[0].value[i] = 0.0;
        at[0].slope[i] = i % inputs == 0 ? 1.0 : 0.0; /* of x */
    }
    for (size_t k = 0; k < own->layers; k++) {
        start_layer(transform, binding, k, weight, bias, &at[k % 2], &at[1 - k % 2]);
        CF_TRY(cf_feature_networks_bind(own, binding, k, weight, bias));
    }
    return CF_OK;
}

static cf_status bind(cf_transform *transform, cf_binding *binding, cf_features transformed) {
    cf_feature_networks *own;
    double *numbers;
    CF_TRY(cf_arena_alloc(binding->arena, &own, 1, sizeof *own));
    transform->state = own;
    CF_TRY(cf_feature_networks_size(own, transform->spec, binding, transformed.count,
                                    transformed.feature,
                                    (size_t)cf_spec_int(transform->spec, "signal")));
    size_t width = widest(own);
    CF_TRY(cf_alloc(&numbers, own->features * width, (5 + width) * sizeof *numbers));
    cf_status status = bind_layers(transform, binding, numbers, width);
    cf_free(numbers);
    return status;
}

/* ---- the map ---- */

/* 1 for units of the first half and -1 for the others, of hidden layers. */
static cf_value signs(cf_builder *b, size_t units, bool hidden) {
    size_t half = hidden ? first_half(units) : units;
    cf_value all[] = {cf_constant(b, CF_UNBATCHED, half, 1.0),
                      half < units ? cf_constant(b, CF_UNBATCHED, units - half, -1.0)
                                   : CF_NO_VALUE};
    return cf_concat(b, all, 2);
}

/* |W| with the signs of its rows and columns, and the bias with those of the rows. */
static void read_layer(const cf_feature_networks *own, cf_builder *b, const int64_t *features,
                       networks *out, size_t k) {
    size_t inputs = cf_feature_networks_inputs(own, k), units = own->units[k];
    cf_value weight = cf_abs(b, cf_feature_weight(own, b, k, features, out->count));
    cf_value rows = signs(b, units, k + 1 < own->layers), columns = signs(b, inputs, k > 0);
    cf_value both =
        cf_multiply(b, cf_repeat_each(b, rows, inputs), cf_repeat_whole(b, columns, units));
    out->weight[k] = cf_multiply(b, weight, cf_repeat_whole(b, both, out->count));
    out->bias[k] = cf_multiply(b, cf_feature_bias(own, b, k, features, out->count),
                               cf_repeat_whole(b, rows, out->count));
    out->units[k] = units;
}

static networks read(const cf_transform *transform, cf_builder *b, cf_value params, size_t count,
                     const int64_t *features) {
    const cf_feature_networks *own = transform->state;
    networks out = {.count = count,
                    .layers = own->layers,
                    .activation = cf_spec_string(transform->spec, "activation")};
    for (size_t k = 0; k < own->layers; k++)
        read_layer(own, b, features, &out, k);
    out.column = cf_feature_column(b, out.weight[0], count, out.units[0]);
    out.of_signal =
        cf_feature_signal(b, out.weight[0], out.bias[0], params, count, out.units[0], own->signal);
    return out;
}

/* u of x, and du/dx. */
static void evaluate(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    const networks *n = context;
    (void)unfinished;
    cf_value h = cf_multiply(b, cf_repeat_each(b, x, n->units[0]), n->column), dh = n->column;
    h = cf_add(b, h, n->of_signal);
    dh = cf_broadcast(b, dh);
    for (size_t k = 1; k < n->layers && cf_builder_status(b) == CF_OK; k++) {
        cf_value a = cf_activation(b, n->activation, h), da;
        /* Of an elementwise op, the slope times a tangent is what it is times a cotangent. */
        cf_gradient(b, 1, &a, &dh, 1, &h, &da);
        h = cf_grouped_matmul(b, n->weight[k], n->bias[k], a, n->count * n->units[k], n->count);
        dh = cf_grouped_matmul(b, n->weight[k], CF_NO_VALUE, da, n->count * n->units[k], n->count);
    }
    *value = h;
    *slope = dh;
}

static size_t param_count(const cf_spec *spec) {
    return (size_t)cf_spec_int(spec, "signal");
}

static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    cf_value value, slope, x = u;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    networks n = read(transform, b, params, cf_value_size(b, u), features);
    if (!inverse) {
        cf_root_spec root = {.function = evaluate,
                             .context = &n,
                             .context_size = sizeof n,
                             .target = u,
                             .start = cf_clamp(b, u, -1e3, 1e3)};
        x = cf_root(b, &root, NULL);
    }
    evaluate(b, &n, x, CF_NO_VALUE, &value, &slope);
    *log_det = cf_sum_features(b, cf_log(b, slope));
    if (inverse)
        return value;
    *log_det = cf_scale_shift(b, *log_det, -1.0, 0.0);
    return x;
}

static const cf_transform_methods methods = {
    .param_count = param_count, .apply = apply, .bind = bind};

static const char *const activations[] = {"elu", "softplus", NULL};

static const cf_option options[] = {
    CF_FEATURE_NETWORK_OPTIONS(2.0),
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("elu"),
     .choices = activations,
     .doc = "The nonlinearity ``a`` of the first half of the units, ``'elu'``, or ``'softplus'``, "
            "all of whose derivatives are smooth; that of the others is ``-a(-h)``."},
};

const cf_spec_type cf_monotone_network_type = {
    .name = "MonotoneNetwork",
    .role = "transform",
    .doc = "A monotone network for each feature, with weights of its own: neural autoregressive "
           "flows.\n\n"
           "``u_f = network_f(x_f, signal_f)``: from ``h = (x_f, signal_f)``, layer after layer "
           "``|W_f| h + b_f``, with\n"
           "an activation between them, ``a(h)`` for the first half of the units (the larger one) "
           "and\n"
           "``-a(-h)`` for the others, so that no slope vanishes. "
           "The absolute value is that of every weight. ``log_det`` of data to base\n"
           "is ``log(du/dx)``, which is carried through the network. That direction is a formula; "
           "the other, sampling,\n"
           "solves for ``x`` by Newton's method and bisection. "
           "The unconstrained parameters are the signal; the weights are\n"
           "parameters of the layer, ``transform.linear0.weight`` of shape (features, outputs, "
           "inputs) and so on. A new\n"
           "layer keeps 0 where it is, with a slope of 1; its units bend at random places from -3 "
           "to 3.\n\n"
           "References\n----------\n"
           "Huang et al. 2018, Neural autoregressive flows, arXiv:1804.00779.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_feature_networks_check,
    .methods = &methods,
};
