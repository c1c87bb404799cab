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
    size_t n = layer->features;
    householder_state *state;
    CF_TRY(cf_pile_take(binding->pile, &state, 1, sizeof *state));
    layer->state = state;
    state->count = count->kind == CF_NONE ? n : (size_t)count->integers[0];
    state->has_bias = cf_spec_int(layer->spec, "bias") != 0;
    CF_TRY(cf_bind_parameter(binding, "vectors", 2, (size_t[]){state->count, n}, 1.0,
                             &state->vectors));
    return state->has_bias ? cf_bind_parameter(binding, "bias", 1, &n, 0.0, &state->bias) : CF_OK;
}

/* x - 2 q (q x) / (q q) for row `row` of the vectors. */
static cf_value reflect_once(cf_builder *b, cf_value vectors, size_t row, cf_value x) {
    size_t n = cf_value_size(b, x);
    cf_value q = cf_slice(b, vectors, row * n, n);
    cf_value square = cf_sum_features(b, cf_multiply(b, q, q));
    cf_value scaled = cf_divide(b, cf_scale(b, q, 2.0, 0.0), square);
    return cf_subtract(b, x, cf_multiply(b, scaled, cf_matmul(b, q, CF_NO_VALUE, x, 1)));
}

cf_value cf_reflect(cf_builder *b, cf_value vectors, size_t count, cf_value x, bool backwards) {
    for (size_t i = 0; i < count && cf_builder_status(b) == CF_OK; i++)
        x = reflect_once(b, vectors, backwards ? count - 1 - i : i, x);
    return x;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const householder_state *state = layer->state;
    cf_value vectors = cf_parameter(b, state->vectors, state->count * layer->features);
    (void)context;
    (void)log_det;
    u = cf_reflect(b, vectors, state->count, u, false);
    return state->has_bias ? cf_add(b, u, cf_parameter(b, state->bias, layer->features)) : u;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const householder_state *state = layer->state;
    cf_value vectors = cf_parameter(b, state->vectors, state->count * layer->features);
    (void)context;
    (void)log_det;
    if (state->has_bias)
        x = cf_subtract(b, x, cf_parameter(b, state->bias, layer->features));
    return cf_reflect(b, vectors, state->count, x, true);
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
     .fallback = CF_DEFAULT_NONE,
     .doc = "How many; None is one a feature. Products of an even number are rotations, of an odd "
            "number not; one a feature, or one less, is enough for all of either."},
    {.name = "bias",
     .kinds = CF_OPTION_BOOL,
     .fallback = CF_DEFAULT_BOOL(0),
     .doc = "Whether a learned vector is added."},
};

const cf_spec_type cf_householder_type = {
    .name = "Householder",
    .role = "layer",
    .doc = "An orthogonal matrix as a product of reflections ``x = u - 2 q (q u) / (q q)``, one a "
           "row q\n"
           "of the parameter ``vectors``, in their order; ``log_det = 0``.\n\n"
           "References\n----------\n"
           "Tomczak and Welling 2016, Improving variational auto-encoders using Householder flow,\n"
           "arXiv:1611.09630.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
