/* The convolutional residual network: pre-activation blocks of two convolutions, into each of which
 * the context comes where there is one (Dinh et al. 2017; Ho et al. 2019 for the gates). */
#include "nn/conditioner.h"
#include "nn/conv_layer.h"

#include <string.h>

#include "ops/ops.h"

typedef struct {
    cf_conv_layer first, second;
    cf_dense context;
} block;

typedef struct {
    cf_conv_layer initial, final;
    cf_shape hidden;
    bool gated;
    double dropout;
    size_t blocks;
    block *block;
} conv_residual_state;

static cf_status bind_parts(block *out, cf_conditioner *conditioner, cf_binding *binding,
                            cf_conv_options options) {
    const conv_residual_state *state = conditioner->state;
    size_t channels = state->hidden.channels;
    cf_groups inputs, outputs;
    CF_TRY(cf_conv_bind(&out->first, binding, "conv", 0, state->hidden, options));
    options.outputs = state->gated ? 2 * channels : channels;
    CF_TRY(cf_conv_bind(&out->second, binding, "conv", 1, state->hidden, options));
    if (conditioner->context == 0)
        return CF_OK;
    CF_TRY(cf_groups_each(&inputs, binding->arena, 1, conditioner->context, 0));
    CF_TRY(cf_groups_each(&outputs, binding->arena, 1, channels, 0));
    return cf_dense_bind(&out->context, binding, "context", -1, inputs, outputs, false,
                         &conditioner->dense_layers);
}

static cf_status bind_blocks(cf_conditioner *conditioner, cf_binding *binding,
                             cf_conv_options options) {
    conv_residual_state *state = conditioner->state;
    for (size_t i = 0; i < state->blocks; i++) {
        size_t mark;
        CF_TRY(cf_binding_enter(binding, "block", (long)i, &mark));
        cf_status status = bind_parts(&state->block[i], conditioner, binding, options);
        cf_binding_leave(binding, mark);
        CF_TRY(status);
    }
    return CF_OK;
}

static cf_status bind(cf_conditioner *conditioner, cf_binding *binding, bool zero_last) {
    const cf_spec *spec = conditioner->spec;
    size_t outputs = conditioner->outputs / cf_pixels(conditioner->shape);
    conv_residual_state *state;
    cf_conv_options options = {.outputs = (size_t)cf_spec_int(spec, "channels"),
                               .kernel = (size_t)cf_spec_int(spec, "outer_kernel"),
                               .normalized =
                                   strcmp(cf_spec_string(spec, "normalization"), "weight") == 0};
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    conditioner->state = state;
    state->hidden = conditioner->shape;
    state->hidden.channels = options.outputs;
    state->gated = cf_spec_int(spec, "gated") != 0;
    state->dropout = cf_spec_real(spec, "dropout");
    state->blocks = (size_t)cf_spec_int(spec, "blocks");
    CF_TRY(cf_arena_alloc(binding->arena, &state->block, state->blocks, sizeof *state->block));
    CF_TRY(cf_conv_bind(&state->initial, binding, "initial", -1, conditioner->shape, options));
    options.kernel = (size_t)cf_spec_int(spec, "kernel");
    CF_TRY(bind_blocks(conditioner, binding, options));
    options.kernel = (size_t)cf_spec_int(spec, "outer_kernel");
    options.outputs = outputs;
    options.zero = zero_last;
    CF_TRY(cf_conv_bind(&state->final, binding, "final", -1, state->hidden, options));
    conditioner->last_bias = state->final.bias;
    return CF_OK;
}

static cf_value emit_block(const cf_conditioner *conditioner, const block *k, cf_builder *b,
                           cf_emission *emission, cf_value h, cf_value context) {
    const conv_residual_state *state = conditioner->state;
    const char *activation = cf_spec_string(conditioner->spec, "activation");
    size_t features = cf_shape_features(state->hidden);
    cf_value t = cf_conv_emit(&k->first, b, cf_activation(b, activation, h));
    if (conditioner->context > 0)
        t = cf_add(b, t, cf_context_emit(&k->context, b, emission, context, state->hidden));
    t = cf_dropout(b, cf_activation(b, activation, t), state->dropout);
    t = cf_conv_emit(&k->second, b, t);
    if (state->gated)
        t = cf_multiply(b, cf_slice(b, t, 0, features),
                        cf_sigmoid(b, cf_slice(b, t, features, features)));
    return cf_add(b, h, t);
}

static cf_value emit(const cf_conditioner *conditioner, cf_builder *b, cf_emission *emission,
                     cf_value x, cf_value context) {
    const conv_residual_state *state = conditioner->state;
    cf_value h = cf_conv_emit(&state->initial, b, x);
    for (size_t i = 0; i < state->blocks; i++)
        h = emit_block(conditioner, &state->block[i], b, emission, h, context);
    return cf_conv_emit(&state->final, b, h);
}

static cf_status check(const cf_spec *spec) {
    int64_t blocks = cf_spec_int(spec, "blocks");
    CF_TRY(cf_channels_check(spec, "channels", cf_spec_int(spec, "channels")));
    CF_TRY(cf_kernel_check(spec, "kernel", cf_spec_int(spec, "kernel")));
    CF_TRY(cf_kernel_check(spec, "outer_kernel", cf_spec_int(spec, "outer_kernel")));
    if (blocks < 0 || blocks > 1024)
        return cf_fail(CF_INVALID, "ConvResidualNet: blocks must be from 0 to 1024, got %lld",
                       (long long)blocks);
    return cf_dropout_check(spec);
}

static const cf_conditioner_methods methods = {bind, emit, .convolutional = true};

static const char *const normalizations[] = {"none", "weight", NULL};

static const cf_option options[] = {
    {.name = "channels",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(64),
     .doc = "Channels of all hidden images."},
    {.name = "blocks",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(2),
     .doc = "The number of residual blocks, each of two convolutions."},
    {.name = "kernel",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(3),
     .doc = "The side of the blocks' kernels, odd."},
    {.name = "outer_kernel",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(1),
     .doc = "That of the first and the last convolution."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("relu"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity before each convolution of a block."},
    {.name = "normalization",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("none"),
     .choices = normalizations,
     .doc = "``'weight'``: each output's weights are ``gain * v / |v|`` of the parameters ``gain`` "
            "and ``weight``, which is v."},
    {.name = "gated",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether a block's second convolution has twice the channels, half of which, through a "
            "sigmoid, multiply the others."},
    CF_DROPOUT_OPTION,
};

const cf_spec_type cf_conv_residual_net_type = {
    .name = "ConvResidualNet",
    .role = "conditioner",
    .doc = "Convolutional residual network with pre-activation blocks, for flows of images.\n\n"
           "``h = initial(x)``; in each block ``h = h + conv1(act(conv0(act(h)) + context(c)))``, "
           "gated ``(t, g)\n"
           "= conv1(...)``, ``h = h + t * sigmoid(g)``; ``final(h)``. The context, where there is "
           "one, adds a\n"
           "linear function of it to each channel. Convolutions are those of `ConvNet`.\n\n"
           "References\n----------\n"
           "Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803, section 3.\n"
           "Salimans and Kingma 2016, Weight normalization, arXiv:1602.07868, equation 2.\n"
           "Ho et al. 2019, Flow++, arXiv:1902.00275, section 3.3.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
