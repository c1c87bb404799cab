/* Residual: u = x + g(x) with a contraction g (Behrmann et al. 2019, Chen et al. 2019). */
#include <math.h>
#include <string.h>

#include "layers/layer.h"
#include "nn/contraction.h"
#include "ops/fixed_point.h"
#include "ops/ops.h"

typedef struct {
    cf_contraction_net net;
    bool estimated; /* in training, log_det is */
} residual_state;

/* Of more features the training estimates the determinant; and of more none is computed. */
enum { EXACT_IN_TRAINING = 32, MAX_FEATURES = 1024 };

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *hidden = cf_spec_get(layer->spec, "hidden");
    const char *log_det = cf_spec_string(layer->spec, "log_det");
    size_t n = layer->features;
    residual_state *state;
    if (n > MAX_FEATURES)
        return cf_fail(CF_INVALID, "Residual: at most %d features, got %zu", MAX_FEATURES, n);
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->estimated =
        strcmp(log_det, "series") == 0 || (strcmp(log_det, "auto") == 0 && n > EXACT_IN_TRAINING);
    state->net =
        (cf_contraction_net){.activation = cf_spec_string(layer->spec, "activation"),
                             .activation_first = cf_spec_int(layer->spec, "activation_first") != 0,
                             .coefficient = cf_spec_real(layer->spec, "coefficient"),
                             .context = cf_shape_features(layer->context)};
    return cf_contraction_bind(&state->net, binding, n, hidden->integers, hidden->count);
}

/* ---- the two directions ---- */

/* x + g(x). */
static cf_value to_base(const cf_layer *layer, cf_builder *b, const cf_contraction_params *params,
                        cf_value x, cf_value *log_det) {
    const residual_state *state = layer->state;
    cf_value g;
    if (state->estimated && cf_builder_mode(b) == CF_TRAINING && !cf_builder_is_deterministic(b))
        *log_det = cf_contraction_log_det_estimate(params, b, x, &g);
    else
        *log_det = cf_contraction_log_det(params, b, x, &g);
    return cf_add(b, x, g);
}

/* The map whose fixed point is x. */
typedef struct {
    cf_contraction_params params;
    cf_value u;
} backwards;

static cf_value step_back(cf_builder *b, const void *context, cf_value x) {
    const backwards *back = context;
    return cf_subtract(b, back->u, cf_contraction_emit(&back->params, b, x, NULL, NULL));
}

/* So many iterations take an error to a unit in the last place of float64, and some more. */
static uint32_t max_iterations(const cf_contraction_net *net) {
    return (uint32_t)(45.0 / -log(cf_contraction_rate(net))) + 50;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    backwards back = {.u = u};
    const residual_state *state = layer->state;
    cf_value magnitude;
    cf_contraction_emit_params(&state->net, b, context, &back.params);
    cf_contraction_emit(&back.params, b, u, NULL, &magnitude);
    cf_fixed_point_spec spec = {.function = step_back,
                                .context = &back,
                                .context_size = sizeof back,
                                .start = u,
                                .magnitude = magnitude,
                                .rate = cf_contraction_rate(&state->net),
                                .max_iterations = max_iterations(&state->net)};
    cf_value x = cf_fixed_point(b, &spec, NULL);
    to_base(layer, b, &back.params, x, log_det);
    *log_det = cf_scale_shift(b, *log_det, -1.0, 0.0);
    return x;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const residual_state *state = layer->state;
    cf_contraction_params params;
    cf_contraction_emit_params(&state->net, b, context, &params);
    return to_base(layer, b, &params, x, log_det);
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *hidden = cf_spec_get(spec, "hidden");
    double coefficient = cf_spec_real(spec, "coefficient");
    if (hidden->count >= CF_MAX_CONTRACTION_LAYERS)
        return cf_fail(CF_INVALID, "Residual: at most %d hidden widths, got %zu",
                       CF_MAX_CONTRACTION_LAYERS - 1, hidden->count);
    for (size_t i = 0; i < hidden->count; i++)
        if (hidden->integers[i] < 1 || hidden->integers[i] > 1 << 20)
            return cf_fail(CF_INVALID,
                           "Residual: hidden widths must be from 1 to 1048576, got %lld",
                           (long long)hidden->integers[i]);
    if (!(coefficient > 0.0 && coefficient <= 0.999))
        return cf_fail(CF_INVALID,
                       "Residual: coefficient must be more than 0 and at most 0.999, got %g",
                       coefficient);
    return CF_OK;
}

static const char *const determinants[] = {"auto", "exact", "series", NULL};

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_option options[] = {
    {.name = "hidden",
     .kinds = CF_OPTION_INTS,
     .default_value = CF_DEFAULT_INTS(64, 64),
     .doc = "Hidden widths of g."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("lipswish"),
     .choices = cf_contraction_activations,
     .doc = "``'lipswish'`` is ``h sigmoid(h softplus(beta)) / 1.1`` with a learned beta for each "
            "dense layer, ``'sine'`` is ``sin(h)``. None is steeper than 1. Where they have kinks, "
            "the density jumps."},
    {.name = "activation_first",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(1),
     .doc = "Whether there is an activation before the first dense layer too, not only between two "
            "of them."},
    {.name = "coefficient",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.97),
     .doc = "c, more than 0 and at most 0.999: the largest norm of a weight."},
    {.name = "log_det",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("auto"),
     .choices = determinants,
     .doc = "In training: ``'exact'``; ``'series'``, an estimate without bias; ``'auto'`` is the "
            "series of more than 32 features. Everywhere else it is exact."},
};

const cf_spec_type cf_residual_type = {
    .name = "Residual",
    .role = "layer",
    .doc =
        "An invertible residual layer: ``u = x + g(x)`` with a network g that is a contraction.\n\n"
        "``log_det`` of data to base is ``log|det(I + J)|`` with ``J = dg/dx``, exact, for at "
        "most 1024\n"
        "features: it costs as much as a pass through g for each of them. Steps of ``fit`` may "
        "take an\n"
        "estimate instead, by one random probe a row and a random number of terms of the series "
        "``tr J -\n"
        "tr J^2 / 2 + ...``: its mean is exact, and that of its gradient. The other direction, "
        "sampling, is\n"
        "the fixed point of ``x = u - g(x)``: each row iterates until it moves by no more than a "
        "few units in\n"
        "the last place, or is NaN. Its gradients are those of the implicit function.\n\n"
        "g is of dense layers ``W h + bias`` and activations; the first dense layer also reads "
        "the context,\n"
        "through ``context.weight``. ``W = weight / max(1, s / c)``, with ``s = left . weight "
        "right`` the\n"
        "largest singular value of the weight, by vectors among the flow's parameters that are "
        "always\n"
        "frozen: a step of ``fit`` improves them and takes s from them, and they are held "
        "constant in\n"
        "gradients. Weights may be set to anything: in all other computations the largest "
        "singular value\n"
        "is found anew. s is that value where the vectors are zeros, as at first, and at least "
        "``2 c / (1 +\n"
        "c)`` of it where they are of no use. So no W has a norm of more than ``(1 + c) / 2``, "
        "and the layer\n"
        "is invertible. A new layer is the identity.\n\n"
        "References\n"
        "----------\n"
        "Behrmann et al. 2019, Invertible residual networks, arXiv:1811.00995.\n"
        "Chen et al. 2019, Residual flows for invertible generative modeling, arXiv:1906.02735.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
