/* The convolutional decoder: a dense layer makes a small image, and convolutions with channels that
 * become squares of pixels make it larger. */
#include "nn/conditioner.h"
#include "nn/conv_layer.h"
#include "ops/ops.h"

typedef struct {
    cf_conv_layer conv;
    cf_shape out;   /* behind the unsqueeze */
    int64_t *order; /* of the channels by pixel of `out` */
} level;

typedef struct {
    size_t levels;
    level *level;
    cf_dense dense;
} conv_decoder_state;

static cf_status bind_level(level *out, cf_binding *binding, size_t number, cf_shape *shape,
                            size_t channels, size_t kernel) {
    size_t n;
    int64_t *squeezed;
    cf_conv_options options = {.outputs = 4 * channels, .kernel = kernel};
    CF_TRY(cf_conv_bind(&out->conv, binding, "conv", (long)number, *shape, options));
    *shape = (cf_shape){channels, 2 * shape->height, 2 * shape->width, true};
    out->out = *shape;
    n = cf_shape_features(*shape);
    CF_TRY(cf_arena_alloc(binding->arena, &out->order, n, sizeof(int64_t)));
    CF_TRY(cf_arena_alloc(binding->arena, &squeezed, n, sizeof(int64_t)));
    cf_squeeze_order(*shape, 2, squeezed);
    for (size_t f = 0; f < n; f++)
        out->order[squeezed[f]] = (int64_t)f;
    return CF_OK;
}

/* The first, small image. */
static cf_status start_shape(const cf_conditioner *conditioner, cf_shape *shape) {
    const cf_setting *channels = cf_spec_get(conditioner->spec, "channels");
    size_t factor = (size_t)1 << channels->count;
    *shape = conditioner->image;
    if (!shape->image || shape->height % factor != 0 || shape->width % factor != 0)
        return cf_fail(CF_INVALID,
                       "ConvDecoder gives images whose height and width are multiples of %zu, one "
                       "of %zu x %zu is wanted",
                       factor, shape->height, shape->width);
    *shape = (cf_shape){(size_t)channels->integers[0], shape->height / factor,
                        shape->width / factor, true};
    return CF_OK;
}

static cf_status bind(cf_conditioner *conditioner, cf_binding *binding, bool zero_last) {
    const cf_setting *channels = cf_spec_get(conditioner->spec, "channels");
    size_t kernel = (size_t)cf_spec_int(conditioner->spec, "kernel");
    cf_shape shape;
    cf_groups inputs, outputs;
    conv_decoder_state *state;
    CF_TRY(start_shape(conditioner, &shape));
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    CF_TRY(cf_arena_alloc(binding->arena, &state->level, channels->count, sizeof *state->level));
    conditioner->state = state;
    state->levels = channels->count;
    CF_TRY(
        cf_groups_each(&inputs, binding->arena, 1, conditioner->inputs + conditioner->context, 0));
    CF_TRY(cf_groups_each(&outputs, binding->arena, 1, cf_shape_features(shape), 0));
    CF_TRY(cf_dense_bind(&state->dense, binding, "linear", -1, inputs, outputs, false,
                         &conditioner->dense_layers));
    (void)zero_last; /* it would let nothing of the input through */
    for (size_t i = 0; i < state->levels; i++) {
        bool last = i + 1 == state->levels;
        size_t next = last ? conditioner->outputs / cf_pixels(conditioner->image)
                           : (size_t)channels->integers[i + 1];
        CF_TRY(bind_level(&state->level[i], binding, i, &shape, next, kernel));
    }
    return CF_OK;
}

static cf_value emit(const cf_conditioner *conditioner, cf_builder *b, cf_emission *emission,
                     cf_value x, cf_value context) {
    const conv_decoder_state *state = conditioner->state;
    const char *activation = cf_spec_string(conditioner->spec, "activation");
    x = cf_dense_emit(&state->dense, b, emission, cf_concat(b, (cf_value[]){x, context}, 2));
    for (size_t i = 0; i < state->levels; i++) {
        const level *l = &state->level[i];
        x = cf_dropout(b, cf_activation(b, activation, x),
                       cf_spec_real(conditioner->spec, "dropout"));
        x = cf_conv_emit(&l->conv, b, x);
        x = cf_select(b, x, l->order, cf_shape_features(l->out));
    }
    return x;
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *channels = cf_spec_get(spec, "channels");
    if (channels->count < 1 || channels->count > 16)
        return cf_fail(CF_INVALID, "ConvDecoder: channels must be from 1 to 16 numbers, got %zu",
                       channels->count);
    for (size_t i = 0; i < channels->count; i++)
        CF_TRY(cf_channels_check(spec, "channels", channels->integers[i]));
    CF_TRY(cf_kernel_check(spec, "kernel", cf_spec_int(spec, "kernel")));
    return cf_dropout_check(spec);
}

static const cf_conditioner_methods methods = {bind, emit};

static const cf_option options[] = {
    {.name = "channels",
     .kinds = CF_OPTION_INTS,
     .default_value = CF_DEFAULT_INTS(64, 32),
     .doc = "Channels in front of each level, which doubles height and width."},
    {.name = "kernel",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(3),
     .doc = "The side of all kernels, odd."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("relu"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity in front of each convolution."},
    CF_DROPOUT_OPTION,
};

const cf_spec_type cf_conv_decoder_type = {
    .name = "ConvDecoder",
    .role = "conditioner",
    .doc = "From a vector to an image: the decoder of a VAE, the mirror of `ConvEncoder`.\n\n"
           "``x = linear([z, context])``, a small image; at each level ``x = conv(act(x))``, whose "
           "channels become\n"
           "squares of 2 x 2 pixels, as in the inverse of `Squeeze`. Convolutions are those of "
           "`ConvNet`.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
