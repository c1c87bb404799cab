/* The plain convolutional network: convolutions with an activation between them. */
#include "nn/conditioner.h"
#include "nn/conv_layer.h"
#include "ops/ops.h"

typedef struct {
    size_t layers;
    cf_conv_layer *conv;
    cf_dense context; /* added behind the first convolution */
} conv_net_state;

static size_t kernel_of(const cf_spec *spec, size_t layer) {
    const cf_setting *kernels = cf_spec_get(spec, "kernels");
    return (size_t)kernels->integers[kernels->count == 1 ? 0 : layer];
}

/* The context comes in once, as a number a channel of the first layer. */
static cf_status bind_context(cf_conditioner *conditioner, cf_binding *binding, bool zero) {
    conv_net_state *state = conditioner->state;
    cf_groups inputs, outputs;
    CF_TRY(cf_groups_each(&inputs, binding->arena, 1, conditioner->context, 0));
    CF_TRY(cf_groups_each(&outputs, binding->arena, 1, state->conv[0].outputs, 0));
    return cf_dense_bind(&state->context, binding, "context", -1, inputs, outputs, zero,
                         &conditioner->dense_layers);
}

static cf_status bind(cf_conditioner *conditioner, cf_binding *binding, bool zero_last) {
    const cf_setting *channels = cf_spec_get(conditioner->spec, "channels");
    size_t count = channels->count + 1;
    cf_shape in = conditioner->shape;
    conv_net_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    CF_TRY(cf_arena_alloc(binding->arena, &state->conv, count, sizeof *state->conv));
    conditioner->state = state;
    state->layers = count;
    for (size_t i = 0; i < count; i++) {
        bool last = i == channels->count;
        cf_conv_options options = {.outputs = last ? conditioner->outputs / cf_pixels(in)
                                                   : (size_t)channels->integers[i],
                                   .kernel = kernel_of(conditioner->spec, i),
                                   .zero = last && zero_last};
        CF_TRY(cf_conv_bind(&state->conv[i], binding, "conv", (long)i, in, options));
        in.channels = options.outputs;
    }
    conditioner->last_bias = state->conv[count - 1].bias;
    return conditioner->context > 0 ? bind_context(conditioner, binding, zero_last && count == 1)
                                    : CF_OK;
}

static cf_value emit(const cf_conditioner *conditioner, cf_builder *b, cf_emission *emission,
                     cf_value x, cf_value context) {
    const conv_net_state *state = conditioner->state;
    const char *activation = cf_spec_string(conditioner->spec, "activation");
    double dropout = cf_spec_real(conditioner->spec, "dropout");
    for (size_t i = 0; i < state->layers; i++) {
        if (i > 0)
            x = cf_dropout(b, cf_activation(b, activation, x), dropout);
        x = cf_conv_emit(&state->conv[i], b, x);
        if (i == 0 && conditioner->context > 0)
            x = cf_add(b, x,
                       cf_context_emit(&state->context, b, emission, context, conditioner->shape));
    }
    return x;
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *channels = cf_spec_get(spec, "channels");
    const cf_setting *kernels = cf_spec_get(spec, "kernels");
    if (kernels->count != 1 && kernels->count != channels->count + 1)
        return cf_fail(CF_INVALID,
                       "ConvNet: kernels must be one number or %zu, one a convolution, got %zu",
                       channels->count + 1, kernels->count);
    for (size_t i = 0; i < channels->count; i++)
        CF_TRY(cf_channels_check(spec, "channels", channels->integers[i]));
    for (size_t i = 0; i < kernels->count; i++)
        CF_TRY(cf_kernel_check(spec, "kernels", kernels->integers[i]));
    return cf_dropout_check(spec);
}

static const cf_conditioner_methods methods = {bind, emit, .convolutional = true};

static const cf_option options[] = {
    {.name = "channels",
     .kinds = CF_OPTION_INTS,
     .default_value = CF_DEFAULT_INTS(64, 64),
     .doc = "Channels of the hidden images; () is one convolution."},
    {.name = "kernels",
     .kinds = CF_OPTION_INT | CF_OPTION_INTS,
     .default_value = CF_DEFAULT_INT(3),
     .doc = "The side of all kernels, odd, or one a convolution: Glow has ``(3, 1, 3)``."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("relu"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity between two convolutions."},
    CF_DROPOUT_OPTION,
};

const cf_spec_type cf_conv_net_type = {
    .name = "ConvNet",
    .role = "conditioner",
    .doc = "Convolutions with an activation between them, for flows of images.\n\n"
           "``out[o, y, x] = bias[o] + sum(weight[o, c, i, j] * in[c, y + i - k // 2, x + j - k // "
           "2])``, with\n"
           "zeros around the image, so that it keeps its height and width. A context adds a linear "
           "function of\n"
           "it to each channel of the first. The weights start as those of an `MLP`; the last "
           "layer of a\n"
           "coupling's conditioner starts at zero.\n\n"
           "References\n----------\n"
           "Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, section 4.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
