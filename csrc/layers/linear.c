/* Linear: multiplication by any invertible matrix, as LU or QR factors or as it is. */
#include <string.h>

#include "layers/householder.h"
#include "layers/layer.h"
#include "layers/permutation.h"
#include "layers/positive_scale.h"
#include "ops/ops.h"

typedef enum { FORM_LU, FORM_QR, FORM_DENSE } linear_form;

typedef struct {
    linear_form form;
    bool has_bias;
    size_t weight, bias;
    size_t diagonal, vectors; /* of LU and QR; of QR */
    const cf_spec *scale;
    cf_permutation permutation; /* of LU */
} linear_state;

/* Triangular factors lie in `weight`, with the diagonal of U in `diagonal`. */
static cf_status bind_factors(cf_layer *layer, cf_binding *binding) {
    linear_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_spec *scale;
    double start;
    CF_TRY(cf_positive_scale_spec(cf_spec_get(layer->spec, "scale"), &scale));
    CF_TRY(cf_binding_keep(binding, scale));
    state->scale = scale;
    CF_TRY(cf_positive_scale_param_of_one(scale, &start));
    CF_TRY(cf_bind_parameter(binding, "weight", 2, (size_t[]){n, n}, 0.0, &state->weight));
    CF_TRY(cf_bind_parameter_constant(binding, "diagonal", n, start, &state->diagonal));
    if (state->form == FORM_LU)
        return cf_permutation_bind(&state->permutation, layer, binding, "permutation",
                                   layer->shape.channels);
    return cf_bind_parameter(binding, "vectors", 2, (size_t[]){n, n}, 1.0, &state->vectors);
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const char *form = cf_spec_string(layer->spec, "form");
    size_t n = layer->shape.channels;
    linear_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->form = strcmp(form, "lu") == 0   ? FORM_LU
                  : strcmp(form, "qr") == 0 ? FORM_QR
                                            : FORM_DENSE;
    state->has_bias = cf_spec_int(layer->spec, "bias") != 0;
    CF_TRY(state->form == FORM_DENSE ? cf_bind_identity(binding, "weight", n, &state->weight)
                                     : bind_factors(layer, binding));
    binding->layers++;
    return state->has_bias ? cf_bind_parameter(binding, "bias", 1, &n, 0.0, &state->bias) : CF_OK;
}

/* The factors; *log_det is that of multiplying by them. */
static void emit_factors(const cf_layer *layer, cf_builder *b, cf_value *lower, cf_value *upper,
                         cf_value *log_det) {
    const linear_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_value weight = cf_parameter(b, state->weight, n * n);
    cf_value log_scale = cf_log_scale(b, state->scale, cf_parameter(b, state->diagonal, n));
    *log_det = cf_every_pixel(b, cf_sum_features(b, log_scale), layer->shape);
    *upper = cf_triangle(b, weight, cf_exp(b, log_scale), 0.0, true);
    *lower = state->form == FORM_LU ? cf_triangle(b, weight, CF_NO_VALUE, 1.0, false) : CF_NO_VALUE;
}

static cf_value multiply_factors(const cf_layer *layer, cf_builder *b, cf_value u,
                                 cf_value *log_det) {
    const linear_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_value lower, upper;
    emit_factors(layer, b, &lower, &upper, log_det);
    u = cf_channels_matmul(b, upper, CF_NO_VALUE, u, layer->shape, n);
    if (state->form == FORM_QR)
        return cf_reflect(b, cf_parameter(b, state->vectors, n * n), n, u, layer->shape, false);
    u = cf_channels_matmul(b, lower, CF_NO_VALUE, u, layer->shape, n);
    return cf_select(b, u, state->permutation.indices, layer->features);
}

static cf_value divide_factors(const cf_layer *layer, cf_builder *b, cf_value x,
                               cf_value *log_det) {
    const linear_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_value lower, upper;
    emit_factors(layer, b, &lower, &upper, log_det);
    *log_det = cf_scale_shift(b, *log_det, -1.0, 0.0);
    if (state->form == FORM_QR)
        x = cf_reflect(b, cf_parameter(b, state->vectors, n * n), n, x, layer->shape, true);
    else
        x = cf_solve_triangular(
            b, lower, cf_select(b, x, state->permutation.inverse, layer->features), false, false);
    return cf_solve_triangular(b, upper, x, true, false);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const linear_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_value bias = state->has_bias ? cf_parameter(b, state->bias, n) : CF_NO_VALUE;
    (void)context;
    if (state->form == FORM_DENSE) {
        cf_value weight = cf_parameter(b, state->weight, n * n);
        cf_invert(b, weight, log_det);
        *log_det = cf_every_pixel(b, *log_det, layer->shape);
        return cf_channels_matmul(b, weight, bias, u, layer->shape, n);
    }
    cf_value x = multiply_factors(layer, b, u, log_det);
    return state->has_bias ? cf_add(b, x, cf_broadcast_channels(b, bias, layer->shape)) : x;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const linear_state *state = layer->state;
    size_t n = layer->shape.channels;
    (void)context;
    if (state->has_bias)
        x = cf_subtract(b, x,
                        cf_broadcast_channels(b, cf_parameter(b, state->bias, n), layer->shape));
    if (state->form != FORM_DENSE)
        return divide_factors(layer, b, x, log_det);
    cf_value weight = cf_parameter(b, state->weight, n * n), log_abs_det;
    cf_value inverted = cf_invert(b, weight, &log_abs_det);
    *log_det = cf_every_pixel(b, cf_scale_shift(b, log_abs_det, -1.0, 0.0), layer->shape);
    return cf_solve(b, weight, inverted, x, false);
}

static cf_status check(const cf_spec *spec) {
    const char *form = cf_spec_string(spec, "form");
    if (strcmp(form, "lu") != 0 && cf_spec_get(spec, "permutation")->is_set)
        return cf_fail(CF_INVALID, "Linear: a permutation goes with form='lu', not with '%s'",
                       form);
    if (strcmp(form, "dense") == 0 && cf_spec_get(spec, "scale")->is_set)
        return cf_fail(CF_INVALID, "Linear: scale is of the diagonal of form='lu' or 'qr', not of "
                                   "'dense'");
    return cf_permutation_check(spec, "permutation");
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const char *const forms[] = {"lu", "qr", "dense", NULL};
static const char *const orders[] = {"natural", "reverse", "random", NULL};

static const cf_option options[] = {
    {.name = "form",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("lu"),
     .choices = forms,
     .doc = "``'lu'``: ``W = P L U``, a unit lower and an upper triangular factor; ``'qr'``: ``W = "
            "Q R``, as many reflections as features and an upper triangular factor; ``'dense'``: "
            "``W`` itself, whose inverse and determinant each call computes."},
    {.name = "permutation",
     .kinds = CF_OPTION_STRING | CF_OPTION_INTS,
     .default_value = CF_DEFAULT_STRING("random"),
     .choices = orders,
     .doc = "``P`` of ``'lu'``, fixed: ``(P h)[i] = h[permutation[i]]``; ``'natural'``, "
            "``'reverse'``, ``'random'`` (drawn from the flow's seed when it is bound) or a list "
            "of indices."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("exp"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained diagonal of ``U`` or ``R`` becomes positive: a form of `Scale`, "
            "or a "
            "`Scale`."},
    {.name = "bias",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(1),
     .doc = "Whether a learned vector is added."},
};

const cf_spec_type cf_linear_type = {
    .name = "Linear",
    .role = "layer",
    .doc =
        "``x = W u + bias`` with a learned invertible matrix; of images, at every pixel with the "
        "channels\n"
        "for features: the invertible 1 x 1 convolution of Glow.\n\n"
        "``log_det = log|det W|``, times ``height * width`` of images; for factors it is the sum "
        "of the\n"
        "logarithms of a diagonal. A new "
        "layer is a\n"
        "permutation (``'lu'``), a random orthogonal matrix (``'qr'``) or the identity "
        "(``'dense'``). In\n"
        "the parameters of ``'lu'``, `weight` holds both factors: ``L`` below the diagonal and "
        "``U`` above it.\n\n"
        "References\n----------\n"
        "Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, section 3.2.\n"
        "Hoogeboom et al. 2019, Emerging convolutions, arXiv:1901.11137, section 4 (QR).",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
