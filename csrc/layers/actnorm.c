/* ActNorm: a learned scale and shift, initialised so that the data leave the layer with mean 0 and
 * standard deviation 1 (Kingma and Dhariwal 2018). */
#include "layers/affine.h"
#include "layers/layer.h"
#include "layers/moments.h"
#include "ops/ops.h"

typedef struct {
    cf_statistic shift, log_scale;
} actnorm_state;

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    actnorm_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    CF_TRY(cf_bind_statistic(binding, "shift", layer->shape.channels, &state->shift));
    return cf_bind_statistic(binding, "log_scale", layer->shape.channels, &state->log_scale);
}

/* Sets log_scale and shift so that what comes out of this direction has mean 0 and standard
 * deviation 1, and makes these the parameters' initial values. */
static void initialise(const cf_layer *layer, cf_builder *b, cf_value x, bool inverse,
                       cf_value *log_scale, cf_value *shift) {
    const actnorm_state *state = layer->state;
    cf_moments m = cf_moments_of(b, x, layer->shape);
    *log_scale = cf_log_standard_deviation(b, m.variance, m.mean);
    *shift = m.mean;
    if (!inverse) {
        *log_scale = cf_scale_shift(b, *log_scale, -1.0, 0.0);
        *shift = cf_scale_shift(b, cf_multiply(b, m.mean, cf_exp(b, *log_scale)), -1.0, 0.0);
    }
    cf_output_statistic(b, state->shift.output, *shift);
    cf_output_statistic(b, state->log_scale.output, *log_scale);
}

static cf_value apply(const cf_layer *layer, cf_builder *b, cf_value x, bool inverse,
                      cf_value *log_det) {
    const actnorm_state *state = layer->state;
    cf_value log_scale, shift;
    if (cf_builder_mode(b) == CF_DATA_INITIALISATION) {
        initialise(layer, b, x, inverse, &log_scale, &shift);
    } else {
        log_scale = cf_parameter(b, state->log_scale.parameter, layer->shape.channels);
        shift = cf_parameter(b, state->shift.parameter, layer->shape.channels);
    }
    return cf_channel_affine(b, x, layer->shape, log_scale, shift, inverse, log_det);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    (void)context;
    return apply(layer, b, u, false, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    (void)context;
    return apply(layer, b, x, true, log_det);
}

static const cf_layer_methods methods = {bind, forward, inverse};

const cf_spec_type cf_actnorm_type = {
    .name = "ActNorm",
    .role = "layer",
    .doc = "Learned elementwise scale and shift that start from the data.\n\n"
           "``x = u * exp(log_scale) + shift``, ``log_det = sum(log_scale)``; of images one scale "
           "and shift\n"
           "a channel, ``log_det = height * width * sum(log_scale)``. A new layer is the "
           "identity;\n"
           "the flow's first ``fit`` sets every such layer, from the data towards the base, so "
           "that up to\n"
           "10,000 of the training rows, or 256 images, have mean 0 and standard deviation 1 "
           "behind it (a\n"
           "feature whose deviations are rounding alone, eight units in the last place of its "
           "mean, is left\n"
           "at scale 1, and rows count alike, whatever their weight). From then on it is trained "
           "as the rest.\n\n"
           "References\n----------\n"
           "Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, section 3.1.",
    .methods = &methods,
};
