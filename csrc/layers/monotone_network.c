/* A monotone network for each feature, with weights of its own, as a transform (zuko's form of the
 * neural autoregressive flow of Huang et al. 2018). */
#include <math.h>

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

/* A unit is linear, h + offset, until h is as far out as the offset, from 0 to 3. Some units bend
 * where the data are: if all were linear there, a fit would first find the best linear map, at
 * which the gradients of all that bends it are small. */
static double offset_of(size_t unit, size_t units) {
    size_t half = first_half(units), first = unit < half ? 0 : half;
    size_t count = first == 0 ? half : units - half;
    double offset = 3.0 * ((double)(unit - first) + 0.5) / (double)count;
    return first == 0 ? offset : -offset;
}

/* Row `row` of a hidden or last layer: random weights, of each half of the units before it half of
 * their sum; returns what the offsets of these add up to. */
static double start_row(double *weight, size_t inputs, cf_binding *binding, size_t row) {
    size_t half = first_half(inputs);
    double sum[2] = {0.0, 0.0}, offsets = 0.0;
    for (size_t i = 0; i < inputs; i++) {
        weight[i] =
            0.5 + cf_philox_uniform(binding->seed, row * inputs + i, CF_STREAM_INITIAL_WEIGHTS,
                                    (uint32_t)binding->parameters.count);
        sum[i < half ? 0 : 1] += weight[i];
    }
    for (size_t i = 0; i < inputs; i++) {
        weight[i] *= 0.5 / sum[i < half ? 0 : 1];
        offsets += weight[i] * offset_of(i, inputs);
    }
    return offsets;
}

static void start_first_row(double *weight, size_t inputs, cf_binding *binding, size_t row) {
    weight[0] = 1.0;
    for (size_t i = 1; i < inputs; i++)
        weight[i] = cf_philox_uniform(binding->seed, row * inputs + i, CF_STREAM_INITIAL_WEIGHTS,
                                      (uint32_t)binding->parameters.count) /
                    sqrt((double)(inputs - 1));
}

static cf_status bind_layer(cf_feature_networks *own, cf_binding *binding, size_t k) {
    size_t inputs = cf_feature_networks_inputs(own, k), units = own->units[k];
    size_t rows = own->features * units;
    double *weight, *bias;
    CF_TRY(cf_alloc(&weight, rows, (inputs + 1) * sizeof *weight));
    bias = weight + rows * inputs;
    for (size_t row = 0; row < rows; row++) {
        bias[row] = k + 1 < own->layers ? offset_of(row % units, units) : 0.0;
        if (k == 0)
            start_first_row(weight + row * inputs, inputs, binding, row);
        else
            bias[row] -= start_row(weight + row * inputs, inputs, binding, row);
    }
    cf_status status = cf_feature_networks_bind(own, binding, k, weight, bias);
    cf_free(weight);
    return status;
}

static cf_status bind(cf_transform *transform, cf_binding *binding, cf_features transformed) {
    cf_feature_networks *own;
    CF_TRY(cf_arena_alloc(binding->arena, &own, 1, sizeof *own));
    transform->state = own;
    CF_TRY(cf_feature_networks_size(own, transform->spec, binding, transformed.count,
                                    transformed.feature,
                                    (size_t)cf_spec_int(transform->spec, "signal")));
    for (size_t k = 0; k < own->layers; k++)
        CF_TRY(bind_layer(own, binding, k));
    return CF_OK;
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
           "layer is near the identity around 0, with slopes from 1 there to a positive number "
           "further out.\n\n"
           "References\n----------\n"
           "Huang et al. 2018, Neural autoregressive flows, arXiv:1804.00779.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_feature_networks_check,
    .methods = &methods,
};
