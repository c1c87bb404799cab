/* Reflections, whose product is an orthogonal matrix (Tomczak and Welling 2016). */
#include "layers/householder.h"
#include "layers/layer.h"
#include "ops/ops.h"

typedef struct {
    size_t count, vectors; /* parameter [count, features] */
    bool has_bias;
    size_t bias;
} householder_state;

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *count = cf_spec_get(layer->spec, "reflections");
    size_t n = layer->shape.channels;
    householder_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->count = count->kind == CF_NONE ? n : (size_t)count->integers[0];
    state->has_bias = cf_spec_int(layer->spec, "bias") != 0;
    CF_TRY(cf_bind_parameter(binding, "vectors", 2, (size_t[]){state->count, n}, 1.0,
                             &state->vectors));
    return state->has_bias ? cf_bind_parameter(binding, "bias", 1, &n, 0.0, &state->bias) : CF_OK;
}

/* x - 2 q (q x) with q = v / |v| for row `row` of the vectors. */
static cf_value reflect_once(cf_builder *b, cf_value vectors, size_t row, cf_value x,
                             cf_shape shape) {
    size_t n = shape.channels;
    cf_value q = cf_unit_vector(b, cf_slice(b, vectors, row * n, n));
    cf_value twice = cf_scale_shift(b, q, 2.0, 0.0);
    if (cf_builder_status(b) == CF_OK && cf_value_kind(b, q) == CF_BATCHED)
        return cf_subtract(b, x, cf_multiply(b, twice, cf_sum_features(b, cf_multiply(b, q, x))));
    cf_value along = cf_channels_matmul(b, q, CF_NO_VALUE, x, shape, 1);
    return cf_subtract(b, x,
                       cf_multiply(b, cf_broadcast_channels(b, twice, shape),
                                   cf_broadcast_pixels(b, along, shape)));
}

cf_value cf_reflect(cf_builder *b, cf_value vectors, size_t count, cf_value x, cf_shape shape,
                    bool backwards) {
    for (size_t i = 0; i < count && cf_builder_status(b) == CF_OK; i++)
        x = reflect_once(b, vectors, backwards ? count - 1 - i : i, x, shape);
    return x;
}

static cf_value bias(const cf_layer *layer, cf_builder *b) {
    const householder_state *state = layer->state;
    return cf_broadcast_channels(b, cf_parameter(b, state->bias, layer->shape.channels),
                                 layer->shape);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const householder_state *state = layer->state;
    cf_value vectors = cf_parameter(b, state->vectors, state->count * layer->shape.channels);
    (void)context;
    (void)log_det;
    u = cf_reflect(b, vectors, state->count, u, layer->shape, false);
    return state->has_bias ? cf_add(b, u, bias(layer, b)) : u;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const householder_state *state = layer->state;
    cf_value vectors = cf_parameter(b, state->vectors, state->count * layer->shape.channels);
    (void)context;
    (void)log_det;
    if (state->has_bias)
        x = cf_subtract(b, x, bias(layer, b));
    return cf_reflect(b, vectors, state->count, x, layer->shape, true);
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *count = cf_spec_get(spec, "reflections");
    if (count->kind != CF_NONE && (count->integers[0] < 1 || count->integers[0] > 1 << 20))
        return cf_fail(CF_INVALID, "Householder: reflections must be from 1 to 1048576, got %lld",
                       (long long)count->integers[0]);
    return CF_OK;
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_option options[] = {
    {.name = "reflections",
     .kinds = CF_OPTION_INT | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "How many; None is one a feature, or channel. Products of an even number are "
            "rotations, of an odd "
            "number not; one a feature, or one less, is enough for all of either."},
    {.name = "bias",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether a learned vector is added."},
};

const cf_spec_type cf_householder_type = {
    .name = "Householder",
    .role = "layer",
    .doc =
        "An orthogonal matrix as a product of reflections ``x = u - 2 q (q u) / (q q)``, one a "
        "row q\n"
        "of the parameter ``vectors``, in their order, of whatever length; one of zeros reflects "
        "nothing.\n"
        "``log_det = 0``. Of images it acts on the channels of every pixel.\n\n"
        "References\n----------\n"
        "Tomczak and Welling 2016, Improving variational auto-encoders using Householder flow,\n"
        "arXiv:1611.09630.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
