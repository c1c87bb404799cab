/* The multilayer perceptron: h = activation(W h + b) for each hidden width, then a last dense
 * layer. */
#include <string.h>

#include "nn/conditioner.h"
#include "nn/dense.h"
#include "nn/layer_norm.h"
#include "ops/ops.h"

typedef struct {
    size_t layers;
    cf_dense *dense;
    cf_layer_norm *norm; /* of the hidden layers */
} mlp_state;

/* Whether nothing follows the last dense layer. */
static bool is_plain_last(const cf_spec *spec) {
    return strcmp(cf_spec_string(spec, "output_activation"), "identity") == 0 &&
           cf_spec_real(spec, "output_multiplier") == 1.0;
}

static cf_status bind(cf_conditioner *conditioner, cf_binding *binding, bool zero_last) {
    const cf_setting *hidden = cf_spec_get(conditioner->spec, "hidden");
    cf_groups inputs = conditioner->input_groups;
    mlp_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    CF_TRY(cf_arena_alloc(binding->arena, &state->dense, hidden->count + 1, sizeof *state->dense));
    CF_TRY(cf_arena_alloc(binding->arena, &state->norm, hidden->count, sizeof *state->norm));
    conditioner->state = state;
    state->layers = hidden->count + 1;
    for (size_t i = 0; i < state->layers; i++) {
        bool last = i == hidden->count;
        cf_groups outputs = conditioner->output_groups;
        if (!last)
            CF_TRY(
                cf_conditioner_hidden(conditioner, binding, (size_t)hidden->integers[i], &outputs));
        CF_TRY(cf_dense_bind(&state->dense[i], binding, "linear", (long)i, inputs, outputs,
                             last && zero_last, &conditioner->dense_layers));
        if (!last)
            CF_TRY(cf_layer_norm_bind(&state->norm[i], conditioner, binding, "norm", (long)i,
                                      cf_groups_units(outputs)));
        inputs = outputs;
    }
    if (is_plain_last(conditioner->spec))
        conditioner->last_bias = state->dense[hidden->count].bias;
    return CF_OK;
}

static cf_value emit(const cf_conditioner *conditioner, cf_builder *b, cf_emission *emission,
                     cf_value x, cf_value context) {
    const mlp_state *state = conditioner->state;
    const char *activation = cf_spec_string(conditioner->spec, "activation");
    double dropout = cf_spec_real(conditioner->spec, "dropout");
    cf_value h = cf_conditioner_inputs(conditioner, b, x, context);
    for (size_t i = 0; i < state->layers; i++) {
        if (i > 0) {
            h = cf_layer_norm_emit(&state->norm[i - 1], b, h);
            h = cf_dropout(b, cf_activation(b, activation, h), dropout);
        }
        h = cf_dense_emit(&state->dense[i], b, emission, h);
    }
    h = cf_activation(b, cf_spec_string(conditioner->spec, "output_activation"), h);
    double multiplier = cf_spec_real(conditioner->spec, "output_multiplier");
    return multiplier == 1.0 ? h : cf_scale_shift(b, h, multiplier, 0.0);
}

/* An activation, and its derivative at x. */
static cf_value activate(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                         cf_value *slope) {
    double dropout = cf_spec_real(conditioner->spec, "dropout");
    x = cf_copy(b, x);
    cf_value h = cf_dropout(b, cf_activation(b, cf_spec_string(conditioner->spec, "activation"), x),
                            dropout);
    *slope = cf_derivative(b, h, x);
    return h;
}

static cf_value weight_of(const cf_dense *dense, cf_builder *b) {
    size_t size = cf_groups_units(dense->inputs) * cf_groups_units(dense->outputs);
    return cf_parameter(b, dense->weight, size);
}

/* The part of the first weight that reads the features, [units, features]. */
static cf_value weight_of_features(const cf_conditioner *conditioner, cf_builder *b) {
    const mlp_state *state = conditioner->state;
    const cf_dense *first = &state->dense[0];
    return cf_block(b, weight_of(first, b), cf_groups_units(first->inputs), 0,
                    cf_groups_units(first->outputs), conditioner->features);
}

/* The matrix T with which the trace of W2 diag(s) W1 is T s, or that of W3 diag(r) W2 diag(s) W1 is
 * r T s: what depends on the weights alone, so that the trace costs one product and not one a
 * feature. */
static cf_value trace_matrix(const cf_conditioner *conditioner, cf_builder *b) {
    const mlp_state *state = conditioner->state;
    size_t n = conditioner->features, hidden = state->layers - 1;
    size_t first = cf_groups_units(state->dense[0].outputs);
    size_t last = cf_groups_units(state->dense[hidden].inputs);
    cf_value w1 = weight_of_features(conditioner, b);                      /* [first, n] */
    cf_value wn = cf_transpose(b, weight_of(&state->dense[hidden], b), n); /* [last, n] */
    if (hidden == 1)
        return cf_sum_groups(b, cf_multiply(b, wn, w1), first);
    cf_value product = cf_matrix_product(b, wn, cf_transpose(b, w1, first), last, n, first);
    return cf_multiply(b, weight_of(&state->dense[1], b), product);
}

static cf_value divergence(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                           cf_value context, cf_value *trace) {
    const mlp_state *state = conditioner->state;
    double multiplier = cf_spec_real(conditioner->spec, "output_multiplier");
    cf_value slope[2] = {{0}}, h = cf_conditioner_inputs(conditioner, b, x, context);
    cf_emission emission = {.end = 1};
    cf_value seen[3] = {{0}};
    *trace = CF_NO_VALUE;
    if (state->layers < 2 || state->layers > 3 || cf_has_layer_norm(conditioner->spec) ||
        strcmp(cf_spec_string(conditioner->spec, "output_activation"), "identity") != 0)
        return CF_NO_VALUE;
    emission.seen = seen;
    for (size_t i = 0; i < state->layers; i++) {
        if (i > 0)
            h = activate(conditioner, b, h, &slope[i - 1]);
        h = cf_dense_emit(&state->dense[i], b, &emission, h);
    }
    cf_value matrix = trace_matrix(conditioner, b);
    if (state->layers == 2) {
        *trace = cf_sum_features(b, cf_multiply(b, slope[0], matrix));
    } else {
        size_t last = cf_groups_units(state->dense[2].inputs);
        cf_value row = cf_matmul(b, matrix, CF_NO_VALUE, slope[0], last);
        *trace = cf_sum_features(b, cf_multiply(b, slope[1], row));
    }
    if (multiplier != 1.0) {
        h = cf_scale_shift(b, h, multiplier, 0.0);
        *trace = cf_scale_shift(b, *trace, multiplier, 0.0);
    }
    return h;
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *hidden = cf_spec_get(spec, "hidden");
    for (size_t i = 0; i < hidden->count; i++)
        if (hidden->integers[i] < 1 || hidden->integers[i] > 1 << 20)
            return cf_fail(CF_INVALID, "MLP: hidden widths must be from 1 to 1048576, got %lld",
                           (long long)hidden->integers[i]);
    return cf_dropout_check(spec);
}

static const cf_conditioner_methods methods = {
    .bind = bind, .emit = emit, .divergence = divergence};

static const cf_option options[] = {
    {.name = "hidden",
     .kinds = CF_OPTION_INTS,
     .default_value = CF_DEFAULT_INTS(64, 64),
     .doc = "Widths of the hidden layers; () is a linear map."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("relu"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity after each hidden layer."},
    {.name = "output_activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("identity"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity after the last layer."},
    {.name = "output_multiplier",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1.0),
     .doc = "A constant factor on the outputs."},
    CF_DROPOUT_OPTION,
    CF_LAYER_NORM_OPTION,
};

const cf_spec_type cf_mlp_type = {
    .name = "MLP",
    .role = "conditioner",
    .doc = "Multilayer perceptron: dense layers with an activation between them.\n\n"
           "It reads the kept features followed by the context; in an `Autoregressive` layer, "
           "masked, the\n"
           "context followed by the features in the layer's order. Weights start uniform on\n"
           "+-1.5/sqrt(inputs) and biases on +-1/sqrt(inputs); the last layer of a coupling's "
           "conditioner\n"
           "starts at zero, so that the new coupling is the identity.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
