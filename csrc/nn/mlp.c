/* The multilayer perceptron: h = activation(W h + b) for each hidden width, then a last dense
 * layer. */
#include <string.h>

#include "nn/conditioner.h"
#include "nn/dense.h"
#include "ops/ops.h"

typedef struct {
    size_t layers;
    cf_dense *dense;
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
        if (i > 0)
            h = cf_dropout(b, cf_activation(b, activation, h), dropout);
        h = cf_dense_emit(&state->dense[i], b, emission, h);
    }
    h = cf_activation(b, cf_spec_string(conditioner->spec, "output_activation"), h);
    double multiplier = cf_spec_real(conditioner->spec, "output_multiplier");
    return multiplier == 1.0 ? h : cf_scale_shift(b, h, multiplier, 0.0);
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *hidden = cf_spec_get(spec, "hidden");
    for (size_t i = 0; i < hidden->count; i++)
        if (hidden->integers[i] < 1 || hidden->integers[i] > 1 << 20)
            return cf_fail(CF_INVALID, "MLP: hidden widths must be from 1 to 1048576, got %lld",
                           (long long)hidden->integers[i]);
    return cf_dropout_check(spec);
}

static const cf_conditioner_methods methods = {bind, emit};

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
