/* Dequantize: integers become real numbers by noise, drawn uniformly or by a flow of its own that
 * sees the integers (Ho et al. 2019), and real numbers become integers by rounding down. */
#include <math.h>

#include "layers/chain.h"
#include "ops/ops.h"

static bool is_bounded(const cf_layer *layer) {
    return cf_spec_get(layer->spec, "levels")->kind != CF_NONE;
}

static double levels_of(const cf_layer *layer) {
    return (double)cf_spec_int(layer->spec, "levels");
}

/* The noise's flow sees the integers, as an image if they are one, and behind them the context. */
static cf_shape seen_shape(const cf_layer *layer) {
    size_t context = cf_shape_features(layer->context);
    cf_shape seen = layer->shape;
    seen.channels += seen.image && layer->context.image ? layer->context.channels : context;
    return seen;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    cf_shape base = layer->shape, context = layer->context;
    if (context.image && (context.height != base.height || context.width != base.width))
        return cf_fail(CF_INVALID,
                       "Dequantize: its context must be an image of %zu x %zu, got "
                       "%zu x %zu",
                       base.height, base.width, context.height, context.width);
    CF_TRY(cf_chain_reshape(layer->spec, true, &base));
    return cf_chain_bind(layer, binding, layer->shape, seen_shape(layer), 0);
}

/* x mapped to about [-1, 1], and the context. */
static cf_value seen(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context) {
    cf_value scaled = is_bounded(layer) ? cf_scale_shift(b, x, 2.0 / levels_of(layer),
                                                         1.0 / levels_of(layer) - 1.0)
                                        : cf_asinh(b, x);
    if (layer->shape.image && !layer->context.image && !cf_is_none(context))
        context = cf_broadcast_channels(b, context, layer->shape);
    return cf_concat(b, (cf_value[]){scaled, context}, 2);
}

/* The sum of -log of the slopes of the sigmoid at t. */
static cf_value sigmoid_log_slope(cf_builder *b, cf_value t) {
    cf_value curve = cf_add(b, cf_softplus(b, t), cf_softplus(b, cf_scale_shift(b, t, -1.0, 0.0)));
    return cf_scale_shift(b, cf_sum_features(b, curve), -1.0, 0.0);
}

/* Noise on (0, 1), and -log of its density given x: uniform noise taken through the noise's layers
 * between a logit and a sigmoid, which cancel where the layers are the identity. */
static cf_value draw(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                     cf_value *log_det) {
    cf_value uniform = cf_uniform_noise(b, layer->features);
    uniform = cf_clamp(b, uniform, 0x1p-25, 1.0 - 0x1p-24); /* where the logit is finite */
    cf_value t =
        cf_subtract(b, cf_log(b, uniform), cf_log1p(b, cf_scale_shift(b, uniform, -1.0, 0.0)));
    cf_value before = sigmoid_log_slope(b, t);
    t = cf_chain_forward(layer, b, t, seen(layer, b, x, context), log_det);
    *log_det = cf_add_optional(b, *log_det, cf_subtract(b, sigmoid_log_slope(b, t), before));
    return cf_sigmoid(b, t);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    bool bounded = is_bounded(layer);
    double levels = bounded ? levels_of(layer) : 1.0;
    double low = bounded ? 0.0 : -HUGE_VAL, high = bounded ? levels - 1.0 : HUGE_VAL;
    cf_value impossible = cf_sum_features(b, cf_log_indicator_integers(b, x, low, high));
    cf_value term = cf_scale_shift(b, impossible, 1.0, -log(levels) * (double)layer->features);
    if (bounded) /* what is outside has no density, but a finite u */
        x = cf_clamp(b, x, low, high);
    cf_value y = cf_add_noise(b, x, draw(layer, b, x, context, log_det));
    *log_det = cf_add_optional(b, *log_det, term);
    return bounded ? cf_scale_shift(b, y, 1.0 / levels, 0.0) : y;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    (void)context;
    *log_det = cf_constant(b, CF_BATCHED, 1, CF_NO_LOG_DET);
    if (!is_bounded(layer))
        return cf_floor(b, u);
    double levels = levels_of(layer);
    return cf_clamp(b, cf_floor(b, cf_scale_shift(b, u, levels, 0.0)), 0.0, levels - 1.0);
}

/* Of uniform noise. */
static bool steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    bool bounded = is_bounded(layer);
    (void)feature;
    if (layer->children > 0)
        return false;
    return cf_append_step(out, count,
                          (cf_map_step){.kind = CF_MAP_FLOOR,
                                        .low = bounded ? 0.0 : -HUGE_VAL,
                                        .high = bounded ? levels_of(layer) - 1.0 : HUGE_VAL,
                                        .rate = bounded ? levels_of(layer) : 1.0});
}

static cf_status check(const cf_spec *spec) {
    int64_t levels = cf_spec_get(spec, "levels")->kind == CF_NONE ? 2 : cf_spec_int(spec, "levels");
    if (levels < 2 || levels > 65536)
        return cf_fail(CF_INVALID, "Dequantize: levels must be from 2 to 65536 or None, got %lld",
                       (long long)levels);
    return CF_OK;
}

static const cf_layer_methods methods = {.bind = bind,
                                         .forward = forward,
                                         .inverse = inverse,
                                         .steps = steps,
                                         .stochastic = true,
                                         .restricted_domain = true};

static const cf_option options[] = {
    {.name = "levels",
     .kinds = CF_OPTION_INT | CF_OPTIONAL,
     .default_value = CF_DEFAULT_INT(256),
     .doc = "x is one of the integers 0, 1, ..., levels - 1, and u lies on (0, 1); with None it is "
            "any integer, as counts are."},
    {.name = "layers",
     .kinds = CF_OPTION_SPECS,
     .default_value = CF_DEFAULT_SPECS,
     .spec_role = "layer",
     .doc = "Variational dequantization: the flow of the noise, base to data, with x for context, "
            "between a logit and a sigmoid. () is uniform noise, and so is the identity."},
};

const cf_spec_type cf_dequantize_type = {
    .name = "Dequantize",
    .role = "layer",
    .doc = "Integers become real numbers by adding noise, so that a flow's density bounds their "
           "probability.\n\n"
           "``u = (x + v) / levels`` with noise ``v`` on (0, 1): uniform, or drawn from a density "
           "``q(v|x)`` that\n"
           "is a flow learned with the rest. As\n"
           "``log P(x) >= E[log p(u) - log q(v|x)] - features log(levels)``, ``log_prob`` is a "
           "lower bound with the\n"
           "noise of its ``seed``: a stochastic layer, whose ``log_det`` is ``-log q(v|x) - "
           "features log(levels)``,\n"
           "and ``-inf`` where a number is none of the levels. Training draws new noise in every "
           "step.\n"
           "``forward`` rounds down, ``x = floor(levels u)``, to a level, and has no ``log_det``: "
           "NaN.\n\n"
           "The noise's flow sees ``2 (x + 1/2) / levels - 1``, or ``asinh(x)`` of any integers, "
           "and the context\nbehind it; convolutional networks read both as channels.\n\n"
           "References\n----------\n"
           "Theis et al. 2016, A note on the evaluation of generative models, arXiv:1511.01844, "
           "section 3.1.\n"
           "Ho et al. 2019, Flow++, arXiv:1902.00275, section 3.1, equation 12.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
