/* BatchNorm: features scaled and shifted by their statistics, in training those of the batch
 * (Dinh et al. 2017, section 3.7; Papamakarios et al. 2017, appendix B). */
#include "layers/layer.h"
#include "layers/moments.h"
#include "layers/positive_scale.h"
#include "ops/ops.h"

typedef struct {
    cf_statistic mean, variance;       /* running ones */
    size_t shift, unconstrained_scale; /* parameters */
    const cf_spec *scale;
    double epsilon;
} batchnorm_state;

static cf_status bind_statistics(cf_layer *layer, cf_binding *binding) {
    batchnorm_state *state = layer->state;
    double momentum = cf_spec_real(layer->spec, "momentum");
    state->mean = (cf_statistic){.initial = 0.0, .momentum = momentum};
    state->variance =
        (cf_statistic){.initial = 1.0, .momentum = momentum, .variance_of = &state->mean};
    CF_TRY(cf_bind_statistic(binding, "mean", layer->shape.channels, &state->mean));
    return cf_bind_statistic(binding, "variance", layer->shape.channels, &state->variance);
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    batchnorm_state *state;
    cf_spec *scale;
    double start;
    size_t n = layer->shape.channels;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->epsilon = cf_spec_real(layer->spec, "epsilon");
    CF_TRY(cf_positive_scale_spec(cf_spec_get(layer->spec, "scale"), &scale));
    CF_TRY(cf_binding_keep(binding, scale));
    state->scale = scale;
    CF_TRY(bind_statistics(layer, binding));
    CF_TRY(cf_bind_parameter(binding, "shift", 1, &n, 0.0, &state->shift));
    CF_TRY(cf_positive_scale_param_of_one(scale, &start));
    return cf_bind_parameter_constant(binding, "scale", n, start, &state->unconstrained_scale);
}

/* log(scale / sqrt(variance + epsilon)), by which the layer multiplies on the way to the base. */
static cf_value log_factor(const cf_layer *layer, cf_builder *b, cf_value variance) {
    const batchnorm_state *state = layer->state;
    cf_value params = cf_parameter(b, state->unconstrained_scale, layer->shape.channels);
    cf_value spread = cf_log(b, cf_scale_shift(b, variance, 1.0, state->epsilon));
    return cf_subtract(b, cf_log_scale(b, state->scale, params),
                       cf_scale_shift(b, spread, 0.5, 0.0));
}

static cf_value spread(const cf_layer *layer, cf_builder *b, cf_value value) {
    return cf_broadcast_channels(b, value, layer->shape);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const batchnorm_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_value mean = cf_parameter(b, state->mean.parameter, n);
    cf_value variance = cf_parameter(b, state->variance.parameter, n);
    cf_value less = cf_scale_shift(b, log_factor(layer, b, variance), -1.0, 0.0);
    (void)context;
    *log_det = cf_every_pixel(b, cf_sum_features(b, less), layer->shape);
    u = cf_subtract(b, u, spread(layer, b, cf_parameter(b, state->shift, n)));
    return cf_add(b, cf_multiply(b, u, spread(layer, b, cf_exp(b, less))), spread(layer, b, mean));
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const batchnorm_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_moments m;
    (void)context;
    if (cf_builder_mode(b) == CF_EVALUATION) {
        m = (cf_moments){.variance = cf_parameter(b, state->variance.parameter, n)};
        m.centred = cf_subtract(b, x, spread(layer, b, cf_parameter(b, state->mean.parameter, n)));
    } else {
        m = cf_moments_of(b, x, layer->shape);
        cf_output_statistic(b, state->mean.output, m.mean);
        cf_output_statistic(b, state->variance.output, m.variance);
    }
    cf_value factor = log_factor(layer, b, m.variance);
    *log_det = cf_every_pixel(b, cf_sum_features(b, factor), layer->shape);
    return cf_add(b, cf_multiply(b, m.centred, spread(layer, b, cf_exp(b, factor))),
                  spread(layer, b, cf_parameter(b, state->shift, n)));
}

static cf_status check(const cf_spec *spec) {
    double momentum = cf_spec_real(spec, "momentum"), epsilon = cf_spec_real(spec, "epsilon");
    if (!(momentum > 0.0 && momentum <= 1.0))
        return cf_fail(CF_INVALID, "BatchNorm: momentum must be more than 0 and at most 1, got %g",
                       momentum);
    if (!(epsilon > 0.0))
        return cf_fail(CF_INVALID, "BatchNorm: epsilon must be positive, got %g", epsilon);
    return CF_OK;
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_option options[] = {
    {.name = "momentum",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.1),
     .doc = "The share of the newest batch in the running statistics."},
    {.name = "epsilon",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1e-5),
     .doc = "Added to the variance."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("exp"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained scale becomes positive: a form of `Scale`, or a `Scale`."},
};

const cf_spec_type cf_batchnorm_type = {
    .name = "BatchNorm",
    .role = "layer",
    .doc =
        "Batch normalisation, between the layers of a flow: of features, or of an image's "
        "channels.\n\n"
        "On the way to the base ``u = (x - mean) / sqrt(variance + epsilon) * scale + shift``, "
        "with\n"
        "``log_det = sum(log(scale) - log(variance + epsilon) / 2)``; scale and shift are "
        "learned. Mean\n"
        "and variance are running statistics, ``mean`` and ``variance`` of the flow's "
        "parameters, which are\n"
        "always frozen. In ``fit`` the steps take those of their batch instead, "
        "differentiate through them, and\n"
        "mix them into the running ones; ``log_det`` is there, as is the custom, that of the "
        "map with these\n"
        "statistics held. Before each validation and in the end ``fit`` sets the running ones to "
        "the statistics\n"
        "of the training rows, with the weights at hand: of up to 10,000 and, in the end and if "
        "they are not\n"
        "images, of an eighth of the rows that it has learned, up to 100,000. Validation losses "
        "and everything\n"
        "else are of these, and exact.\n\n"
        "The other direction, and so a step of an inverted layer, takes the running ones. Rows "
        "count alike\nin them, whatever their weight, and a batch needs two rows.\n\n"
        "References\n----------\n"
        "Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803, section 3.7.\n"
        "Papamakarios et al. 2017, Masked autoregressive flow, arXiv:1705.07057, appendix B.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
