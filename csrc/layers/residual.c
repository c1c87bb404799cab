/* Residual: u = x + g(x) with a contraction g (Behrmann et al. 2019, Chen et al. 2019). */
#include <math.h>
#include <string.h>

#include "base/shape.h"
#include "layers/layer.h"
#include "nn/contraction.h"
#include "nn/conv_layer.h"
#include "ops/fixed_point.h"
#include "ops/ops.h"

typedef struct {
    cf_contraction_net net;
    bool estimated; /* in training, log_det is */
    bool exact;     /* elsewhere, it is */
    size_t probes;
} residual_state;

/* Of more features the training estimates the determinant; and of more dense layers, or of larger
 * Jacobians within convolutions, no exact one is computed. */
enum { EXACT_IN_TRAINING = 32, MAX_EXACT = 1024, MAX_EXACT_NUMBERS = 1 << 20 };

static const char *const norms[] = {"spectral", "one", "infinity", NULL};

static cf_contraction_norm norm_named(const char *name) {
    size_t i = 0;
    while (strcmp(norms[i], name) != 0)
        i++;
    return (cf_contraction_norm)i;
}

static cf_status check_shape(const cf_layer *layer) {
    if (cf_spec_get(layer->spec, "kernels")->kind == CF_NONE || layer->shape.image)
        return CF_OK;
    return cf_fail(CF_INVALID,
                   "Residual: kernels are of convolutions, for flows of images, shape=(channels, "
                   "height, width), got %zu features",
                   layer->features);
}

/* How log_det is computed. */
static cf_status choose_log_det(const cf_layer *layer, residual_state *state) {
    const char *log_det = cf_spec_string(layer->spec, "log_det");
    size_t n = layer->features;
    bool dense = state->net.kernels == NULL;
    double size = cf_contraction_jacobian_size(&state->net);
    state->exact = dense ? n <= MAX_EXACT : size <= MAX_EXACT_NUMBERS;
    state->estimated = strcmp(log_det, "series") == 0 ||
                       (strcmp(log_det, "auto") == 0 && (n > EXACT_IN_TRAINING || !state->exact));
    if (state->exact || strcmp(log_det, "exact") != 0)
        return CF_OK;
    if (dense)
        return cf_fail(CF_INVALID,
                       "Residual: log_det='exact' is of at most %d features, got %zu; 'auto' is an "
                       "estimate of more",
                       MAX_EXACT, n);
    return cf_fail(CF_INVALID,
                   "Residual: log_det='exact' is of Jacobians of at most %d numbers within the "
                   "network, got %.0f; 'auto' is an estimate of more",
                   MAX_EXACT_NUMBERS, size);
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *hidden = cf_spec_get(layer->spec, "hidden");
    const cf_setting *kernels = cf_spec_get(layer->spec, "kernels");
    residual_state *state;
    CF_TRY(check_shape(layer));
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->probes = (size_t)cf_spec_int(layer->spec, "probes");
    state->net =
        (cf_contraction_net){.activation = cf_spec_string(layer->spec, "activation"),
                             .activation_first = cf_spec_int(layer->spec, "activation_first") != 0,
                             .coefficient = cf_spec_real(layer->spec, "coefficient"),
                             .norm = norm_named(cf_spec_string(layer->spec, "norm")),
                             .kernels = kernels->kind == CF_NONE ? NULL : kernels->integers,
                             .kernel_count = kernels->count,
                             .context = cf_shape_features(layer->context)};
    CF_TRY(
        cf_contraction_bind(&state->net, binding, layer->shape, hidden->integers, hidden->count));
    return choose_log_det(layer, state);
}

/* ---- the two directions ---- */

/* x + g(x). */
static cf_value to_base(const cf_layer *layer, cf_builder *b, const cf_contraction_params *params,
                        cf_value x, cf_value *log_det) {
    const residual_state *state = layer->state;
    bool training = cf_builder_mode(b) == CF_TRAINING && !cf_builder_is_deterministic(b);
    cf_value g;
    if (state->estimated && training)
        *log_det = cf_contraction_log_det_estimate(params, b, x, &g);
    else if (state->exact)
        *log_det = cf_contraction_log_det(params, b, x, &g);
    else
        *log_det = cf_contraction_log_det_probes(params, b, x, state->probes, &g);
    return cf_add(b, x, g);
}

/* The map whose fixed point is x. */
typedef struct {
    cf_contraction_params params;
    cf_value u;
} backwards;

static cf_value step_back(cf_builder *b, const void *context, cf_value x) {
    const backwards *back = context;
    return cf_subtract(b, back->u, cf_contraction_emit(&back->params, b, x, NULL));
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
    cf_contraction_emit(&back.params, b, u, &magnitude);
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

static cf_status check_kernels(const cf_spec *spec, size_t layers) {
    const cf_setting *kernels = cf_spec_get(spec, "kernels");
    if (kernels->kind == CF_NONE)
        return CF_OK;
    if (kernels->count != 1 && kernels->count != layers)
        return cf_fail(CF_INVALID,
                       "Residual: kernels must be one number or %zu, one a convolution, got %zu",
                       layers, kernels->count);
    for (size_t i = 0; i < kernels->count; i++)
        CF_TRY(cf_kernel_check(spec, "kernels", kernels->integers[i]));
    return CF_OK;
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *hidden = cf_spec_get(spec, "hidden");
    double coefficient = cf_spec_real(spec, "coefficient");
    int64_t probes = cf_spec_int(spec, "probes");
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
    if (probes < 1 || probes > CF_MAX_PROBES)
        return cf_fail(CF_INVALID, "Residual: probes must be from 1 to %d, got %lld", CF_MAX_PROBES,
                       (long long)probes);
    return check_kernels(spec, hidden->count + 1);
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
            "series of more than 32 features. Everywhere else it is exact, except of many features "
            "(above)."},
    {.name = "kernels",
     .kinds = CF_OPTION_INT | CF_OPTION_INTS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "In flows of images: the side of the kernels of convolutions, odd, one number or one a "
            "convolution, as of `ConvNet`; hidden are their channels then. Residual flows have "
            "``(3, 1, 3)``. None: dense layers, of all numbers of an image."},
    {.name = "norm",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("spectral"),
     .choices = norms,
     .doc = "That in which every linear map, and so g, is a contraction: of vectors the "
            "``'spectral'``, Euclid's; ``'one'``, the sum of magnitudes; ``'infinity'``, the "
            "largest."},
    {.name = "probes",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(8),
     .doc = "Vectors of signs, at most 64, by which ``log_det`` of many features is estimated "
            "outside of training."},
};

const cf_spec_type cf_residual_type = {
    .name = "Residual",
    .role = "layer",
    .doc =
        "An invertible residual layer: ``u = x + g(x)`` with a network g that is a contraction.\n"
        "\n"
        "``log_det`` of data to base is ``log|det(I + J)|`` with ``J = dg/dx``, exact, for at most "
        "1024\n"
        "features: it costs as much as a pass through g for each of them. Steps of ``fit`` may "
        "take an\n"
        "estimate instead, by one random probe a row and a random number of terms of the series "
        "``tr J -\n"
        "tr J^2 / 2 + ...``: its mean is exact, and that of its gradient. The other direction, "
        "sampling,\n"
        "is the fixed point of ``x = u - g(x)``: each row iterates until it moves by no more than "
        "a few\n"
        "units in the last place, or is NaN. Its gradients are those of the implicit function.\n"
        "\n"
        "Of more than 1024 features ``log_det``, and so ``log_prob``, is an estimate everywhere: "
        "the mean\n"
        "of ``v . (J - J^2 / 2 + ...) v`` over as many vectors v of signs as ``probes`` says. "
        "These are\n"
        "the same of every row and in every call, so that a row has one number. Each sum ends "
        "where the\n"
        "rest is at most 0.001 by the bound on J's norm; with m probes the standard error is "
        "``sqrt(2 /\n"
        "m)`` times the norm of what the symmetric part of ``log(I + J)`` has beside its "
        "diagonal.\n"
        "``cf.audit(flow, x).log_det`` tells the error at some rows.\n"
        "\n"
        "g is of dense layers ``W h + bias`` and activations; the first dense layer also reads "
        "the\n"
        "context, through ``context.weight``. With ``kernels``, in a flow of images, it is of\n"
        "convolutions, with zeros around the image, in which the context adds a number to each "
        "channel of\n"
        "the first. ``log_det`` is exact then as long as the Jacobian within the network, features "
        "times\n"
        "the numbers of the largest hidden image and the zeros between two, has at most 2^20 "
        "numbers:\n"
        "such as 1 x 8 x 8 pixels and 64 channels.\n"
        "\n"
        "``W = weight / max(1, s / c)``, with ``s = left . weight right`` the largest singular "
        "value of\n"
        "the weight, of a convolution as a map of the whole image, by vectors among the flow's "
        "parameters\n"
        "that are always frozen: a step of ``fit`` improves them and takes s from them, and they "
        "are held\n"
        "constant in gradients. Weights may be set to anything: in all other computations the "
        "largest\n"
        "singular value is found anew. s is that value where the vectors are zeros, as at first, "
        "and at\n"
        "least ``2 c / (1 + c)`` of it where they are of no use. So no W has a norm of more than "
        "``(1 +\n"
        "c) / 2``, and the layer is invertible. A new layer is the identity.\n"
        "\n"
        "With ``norm='infinity'`` each row of the weight, all that an output reads, is divided by\n"
        "``max(1, s / c)`` with s the sum of its magnitudes; with ``norm='one'`` each column, all "
        "that\n"
        "reads an input channel. No vectors are needed, and no W has an induced norm of more than "
        "c. Of\n"
        "induced norms p -> q those of p = 1, those of q = infinity and 2 -> 2 are formulas. They "
        "lead\n"
        "away from 1 and into infinity, never back, so a chain that ends in the norm in which it "
        "starts\n"
        "has one norm throughout: one of these three. Learned orders p (Chen et al. 2019) "
        "have no\n"
        "formula, and are not offered.\n"
        "\n"
        "References\n"
        "----------\n"
        "Behrmann et al. 2019, Invertible residual networks, arXiv:1811.00995.\n"
        "Chen et al. 2019, Residual flows for invertible generative modeling, arXiv:1906.02735.\n"
        "Gouk et al. 2021, Regularisation of neural networks by enforcing Lipschitz continuity, "
        "arXiv:1804.04368.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
