/* The convolutional encoder: squares of pixels become channels, between them convolutions, and a
 * dense layer reads what is left. */
#include "nn/conditioner.h"
#include "nn/conv_layer.h"
#include "ops/ops.h"

typedef struct {
    cf_shape in; /* before the squeeze */
    int64_t *order;
    cf_conv_layer conv;
} level;

typedef struct {
    size_t levels;
    level *level;
    cf_dense dense;
} conv_encoder_state;

static cf_status bind_level(level *out, cf_binding *binding, size_t number, cf_shape *shape,
                            cf_conv_options options) {
    if (shape->height % 2 != 0 || shape->width % 2 != 0)
        return cf_fail(CF_INVALID,
                       "ConvEncoder: height and width must be even at each level, got %zu x %zu at "
                       "level %zu",
                       shape->height, shape->width, number);
    out->in = *shape;
    CF_TRY(cf_arena_alloc(binding->arena, &out->order, cf_shape_features(*shape), sizeof(int64_t)));
    cf_squeeze_order(*shape, 2, out->order);
    *shape = (cf_shape){4 * shape->channels, shape->height / 2, shape->width / 2, true};
    CF_TRY(cf_conv_bind(&out->conv, binding, "conv", (long)number, *shape, options));
    shape->channels = options.outputs;
    return CF_OK;
}

static cf_status bind(cf_conditioner *conditioner, cf_binding *binding, bool zero_last) {
    const cf_setting *channels = cf_spec_get(conditioner->spec, "channels");
    cf_shape shape = conditioner->shape;
    cf_groups inputs, outputs;
    conv_encoder_state *state;
    if (!shape.image)
        return cf_fail(CF_INVALID,
                       "ConvEncoder reads images, and there are none here: a flow of images has a "
                       "shape (channels, height, width)");
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    CF_TRY(cf_arena_alloc(binding->arena, &state->level, channels->count, sizeof *state->level));
    conditioner->state = state;
    state->levels = channels->count;
    for (size_t i = 0; i < state->levels; i++) {
        cf_conv_options options = {.outputs = (size_t)channels->integers[i],
                                   .kernel = (size_t)cf_spec_int(conditioner->spec, "kernel")};
        CF_TRY(bind_level(&state->level[i], binding, i, &shape, options));
    }
    CF_TRY(cf_groups_each(&inputs, binding->arena, 1,
                          cf_shape_features(shape) + conditioner->context, 0));
    CF_TRY(cf_groups_each(&outputs, binding->arena, 1, conditioner->outputs, 0));
    CF_TRY(cf_dense_bind(&state->dense, binding, "linear", -1, inputs, outputs, zero_last,
                         &conditioner->dense_layers));
    conditioner->last_bias = state->dense.bias;
    return CF_OK;
}

static cf_value emit(const cf_conditioner *conditioner, cf_builder *b, cf_emission *emission,
                     cf_value x, cf_value context) {
    const conv_encoder_state *state = conditioner->state;
    const char *activation = cf_spec_string(conditioner->spec, "activation");
    for (size_t i = 0; i < state->levels; i++) {
        const level *l = &state->level[i];
        x = cf_select(b, x, l->order, cf_shape_features(l->in));
        x = cf_activation(b, activation, cf_conv_emit(&l->conv, b, x));
        x = cf_dropout(b, x, cf_spec_real(conditioner->spec, "dropout"));
    }
    return cf_dense_emit(&state->dense, b, emission, cf_concat(b, (cf_value[]){x, context}, 2));
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *channels = cf_spec_get(spec, "channels");
    for (size_t i = 0; i < channels->count; i++)
        CF_TRY(cf_channels_check(spec, "channels", channels->integers[i]));
    CF_TRY(cf_kernel_check(spec, "kernel", cf_spec_int(spec, "kernel")));
    return cf_dropout_check(spec);
}

static const cf_conditioner_methods methods = {bind, emit};

static const cf_option options[] = {
    {.name = "channels",
     .kinds = CF_OPTION_INTS,
     .default_value = CF_DEFAULT_INTS(32, 64),
     .doc = "Channels behind each level, which halves height and width."},
    {.name = "kernel",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(3),
     .doc = "The side of all kernels, odd."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("relu"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity behind each convolution."},
    CF_DROPOUT_OPTION,
};

const cf_spec_type cf_conv_encoder_type = {
    .name = "ConvEncoder",
    .role = "conditioner",
    .doc = "From an image to a vector: the encoder of a VAE.\n\n"
           "At each level squares of 2 x 2 pixels become channels, as in `Squeeze`, and ``x = "
           "act(conv(x))``: a\n"
           "convolution of stride 2, whose kernel has twice the side. Then ``linear([x, "
           "context])``.\n"
           "Convolutions are those of `ConvNet`.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
