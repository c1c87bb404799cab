/* ActNorm: a learned scale and shift that start where the data that reach the layer have mean 0 and
 * standard deviation 1 behind it (Kingma and Dhariwal 2018). */
#include "layers/layer.h"
#include "layers/moments.h"
#include "ops/ops.h"

/* Added to the variance: a feature without spread stays finite. */
static const double LEAST_VARIANCE = 1e-12;

typedef struct {
    size_t shift, log_scale; /* parameters */
} actnorm_state;

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    actnorm_state *state;
    CF_TRY(cf_pile_take(binding->pile, &state, 1, sizeof *state));
    layer->state = state;
    cf_statistic trained = {.start = 0.0};
    CF_TRY(cf_bind_statistic(binding, "shift", layer->features, trained, &state->shift));
    return cf_bind_statistic(binding, "log_scale", layer->features, trained, &state->log_scale);
}

/* The logarithm of the standard deviation of x, and its mean. */
static cf_value log_deviation(cf_builder *b, cf_value x, cf_value *mean) {
    cf_moments m = cf_moments_of(b, x);
    *mean = m.mean;
    return cf_scale(b, cf_log(b, cf_scale(b, m.variance, 1.0, LEAST_VARIANCE)), 0.5, 0.0);
}

static void start_at(const actnorm_state *state, cf_builder *b, cf_value shift,
                     cf_value log_scale) {
    cf_output_gradient(b, state->shift, shift);
    cf_output_gradient(b, state->log_scale, log_scale);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const actnorm_state *state = layer->state;
    cf_value shift, log_scale;
    (void)context;
    if (cf_builder_mode(b) == CF_STARTING) {
        cf_value mean;
        log_scale = cf_scale(b, log_deviation(b, u, &mean), -1.0, 0.0);
        shift = cf_scale(b, cf_multiply(b, mean, cf_exp(b, log_scale)), -1.0, 0.0);
        start_at(state, b, shift, log_scale);
    } else {
        shift = cf_parameter(b, state->shift, layer->features);
        log_scale = cf_parameter(b, state->log_scale, layer->features);
    }
    *log_det = cf_sum_features(b, log_scale);
    return cf_add(b, cf_multiply(b, u, cf_exp(b, log_scale)), shift);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const actnorm_state *state = layer->state;
    cf_value shift, log_scale;
    (void)context;
    if (cf_builder_mode(b) == CF_STARTING) {
        log_scale = log_deviation(b, x, &shift);
        start_at(state, b, shift, log_scale);
    } else {
        shift = cf_parameter(b, state->shift, layer->features);
        log_scale = cf_parameter(b, state->log_scale, layer->features);
    }
    cf_value less = cf_scale(b, log_scale, -1.0, 0.0);
    *log_det = cf_sum_features(b, less);
    return cf_multiply(b, cf_subtract(b, x, shift), cf_exp(b, less));
}

static const cf_layer_methods methods = {bind, forward, inverse};

const cf_spec_type cf_actnorm_type = {
    .name = "ActNorm",
    .role = "layer",
    .doc = "Learned elementwise scale and shift that start from the data.\n\n"
           "``x = u * exp(log_scale) + shift``, ``log_det = sum(log_scale)``. A new layer is the "
           "identity;\n"
           "the flow's first ``fit`` sets every such layer, from the data towards the base, so "
           "that up to\n"
           "10,000 of the training rows have mean 0 and standard deviation 1 behind it. From then "
           "on it is\n"
           "trained as the rest.\n\n"
           "References\n----------\n"
           "Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, section 3.1.",
    .methods = &methods,
};
