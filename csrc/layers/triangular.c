/* Multiplication by a triangular matrix: the determinant is read off the diagonal, the inverse is
 * a substitution. */
#include "layers/triangular.h"
#include "layers/positive_scale.h"
#include "ops/ops.h"

typedef struct {
    bool upper, unit, has_bias;
    size_t weight, diagonal, bias; /* parameters */
    const cf_spec *scale;
} triangular_state;

static cf_status bind_diagonal(cf_layer *layer, cf_binding *binding) {
    triangular_state *state = layer->state;
    cf_spec *scale;
    double start;
    CF_TRY(cf_positive_scale_spec(cf_spec_get(layer->spec, "scale"), &scale));
    CF_TRY(cf_binding_keep(binding, scale));
    state->scale = scale;
    CF_TRY(cf_positive_scale_param_of_one(scale, &start));
    return cf_bind_parameter_constant(binding, "diagonal", layer->shape.channels, start,
                                      &state->diagonal);
}

bool cf_triangular_from_data(const cf_layer *layer, cf_triangular_parameters *out) {
    if (cf_spec_type_of(layer->spec) != &cf_triangular_type ||
        !cf_spec_int(layer->spec, "standardize"))
        return false;
    const triangular_state *state = layer->state;
    *out = (cf_triangular_parameters){.upper = state->upper,
                                      .has_bias = state->has_bias,
                                      .features = layer->features,
                                      .weight = state->weight,
                                      .diagonal = state->diagonal,
                                      .bias = state->bias};
    return true;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *signs = cf_spec_get(layer->spec, "signs");
    size_t n = layer->shape.channels;
    triangular_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->upper = cf_spec_int(layer->spec, "upper") != 0;
    state->unit = cf_spec_int(layer->spec, "unit") != 0;
    state->has_bias = cf_spec_int(layer->spec, "bias") != 0;
    if (cf_spec_int(layer->spec, "standardize") && layer->shape.image)
        return cf_fail(CF_INVALID, "Triangular: standardize takes vectors, the flow has images");
    if (signs->kind != CF_NONE && signs->count != n)
        return cf_fail(CF_INVALID, "Triangular: %zu signs, the flow has %zu %s", signs->count, n,
                       layer->shape.image ? "channels" : "features");
    CF_TRY(cf_bind_parameter(binding, "weight", 2, (size_t[]){n, n}, 0.0, &state->weight));
    if (!state->unit)
        CF_TRY(bind_diagonal(layer, binding));
    return state->has_bias ? cf_bind_parameter(binding, "bias", 1, &n, 0.0, &state->bias) : CF_OK;
}

/* The diagonal with its signs, and the sum of the logarithms of its absolute values. */
static cf_value emit_diagonal(const cf_layer *layer, cf_builder *b, cf_value *log_det) {
    const triangular_state *state = layer->state;
    const cf_setting *signs = cf_spec_get(layer->spec, "signs");
    size_t n = layer->shape.channels;
    cf_value log_scale = cf_log_scale(b, state->scale, cf_parameter(b, state->diagonal, n));
    cf_value diagonal = cf_exp(b, log_scale);
    *log_det = cf_every_pixel(b, cf_sum_features(b, log_scale), layer->shape);
    if (signs->kind == CF_NONE)
        return diagonal;
    cf_value turned = CF_NO_VALUE;
    for (size_t i = 0; i < n; i++) {
        cf_value sign = cf_constant(b, CF_UNBATCHED, 1, (double)signs->integers[i]);
        turned = cf_concat(b, (cf_value[]){turned, sign}, 2);
    }
    return cf_multiply(b, diagonal, turned);
}

/* The matrix as it is; *log_det is that of multiplying by it. */
static cf_value emit_matrix(const cf_layer *layer, cf_builder *b, cf_value *log_det) {
    const triangular_state *state = layer->state;
    cf_value weight = cf_parameter(b, state->weight, layer->shape.channels * layer->shape.channels);
    cf_value diagonal = state->unit ? CF_NO_VALUE : emit_diagonal(layer, b, log_det);
    return cf_triangle(b, weight, diagonal, 1.0, state->upper);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const triangular_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_value bias = state->has_bias ? cf_parameter(b, state->bias, n) : CF_NO_VALUE;
    (void)context;
    return cf_channels_matmul(b, emit_matrix(layer, b, log_det), bias, u, layer->shape, n);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const triangular_state *state = layer->state;
    cf_value matrix = emit_matrix(layer, b, log_det);
    (void)context;
    if (!cf_is_none(*log_det))
        *log_det = cf_scale_shift(b, *log_det, -1.0, 0.0);
    if (state->has_bias)
        x = cf_subtract(b, x,
                        cf_broadcast_channels(
                            b, cf_parameter(b, state->bias, layer->shape.channels), layer->shape));
    return cf_solve_triangular(b, matrix, x, state->upper, false);
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *signs = cf_spec_get(spec, "signs");
    if (cf_spec_int(spec, "unit") && (signs->kind != CF_NONE || cf_spec_get(spec, "scale")->is_set))
        return cf_fail(CF_INVALID, "Triangular: a unit diagonal has neither scale nor signs");
    if (cf_spec_int(spec, "standardize") &&
        (cf_spec_int(spec, "unit") || signs->kind != CF_NONE || cf_spec_get(spec, "scale")->is_set))
        return cf_fail(CF_INVALID,
                       "Triangular: standardize takes neither unit, scale nor signs, since the "
                       "data set the diagonal");
    for (size_t i = 0; signs->kind != CF_NONE && i < signs->count; i++)
        if (signs->integers[i] != 1 && signs->integers[i] != -1)
            return cf_fail(CF_INVALID, "Triangular: signs must be 1 or -1, got %lld at %zu",
                           (long long)signs->integers[i], i);
    return CF_OK;
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_option options[] = {
    {.name = "upper",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether the matrix is upper triangular, else lower."},
    {.name = "unit",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether the diagonal is 1, so that volumes are kept."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("exp"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained diagonal becomes positive: a form of `Scale`, or a `Scale`."},
    {.name = "signs",
     .kinds = CF_OPTION_INTS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "1 or -1, by which each number of the diagonal is multiplied; None is 1."},
    {.name = "bias",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether a learned vector is added."},
    {.name = "standardize",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc =
         "Whether the first ``fit`` starts it, as the last layer or with only fixed maps such as "
         "`Affine` behind it, at the Cholesky factor of the covariance of what it sees of up to "
         "100,000 rows, so that the layers before it see whitened columns. Of ``p`` columns and "
         "``n`` rows, correlations are shrunk by ``(p / n)**2``, and in float32 by 8e-6."},
};

const cf_spec_type cf_triangular_type = {
    .name = "Triangular",
    .role = "layer",
    .doc = "``x = T u + bias`` with a learned triangular matrix, which starts as the identity; of "
           "images, at\n"
           "every pixel with the channels for features.\n\n"
           "``log_det`` is the sum of the logarithms of the absolute diagonal, at every pixel. An "
           "upper and a unit "
           "lower\n"
           "triangular layer are an LU decomposition.\n\n"
           "References\n----------\n"
           "Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, section 3.2.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
