/* Elementwise scale and shift, x = u scale + shift: fixed float64 buffers (standardisation of the
 * data) or learned. */
#include <math.h>

#include "base/memory.h"
#include "layers/affine.h"
#include "layers/layer.h"
#include "ops/ops.h"

typedef struct {
    bool learned;
    size_t shift, log_scale; /* parameters, if learned */
    size_t buffers;          /* shift and scale, if fixed */
} affine_state;

/* Whether the data set shift and scale of the feature. */
static bool is_from_data(const cf_layer *layer, size_t feature) {
    const cf_setting *chosen = cf_spec_get(layer->spec, "standardize");
    if (chosen->kind != CF_NONE)
        return chosen->integers[feature] != 0;
    return cf_spec_get(layer->spec, "shift")->kind == CF_NONE &&
           cf_spec_get(layer->spec, "scale")->kind == CF_NONE;
}

static bool steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    const affine_state *state = layer->state;
    if (state->learned)
        return false;
    return cf_append_step(out, count,
                          (cf_map_step){.kind = CF_MAP_AFFINE,
                                        .from_data = is_from_data(layer, feature),
                                        .robust = cf_spec_int(layer->spec, "robust") != 0,
                                        .shift = state->buffers + feature,
                                        .scale = state->buffers + layer->features + feature});
}

static cf_status fill(const cf_layer *layer, double *values) {
    const char *type = cf_spec_type_of(layer->spec)->name, *names[2] = {"shift", "scale"};
    for (int k = 0; k < 2; k++) {
        const cf_setting *setting = cf_spec_get(layer->spec, names[k]);
        bool given = setting->kind != CF_NONE;
        if (given && setting->count != 1 && setting->count != layer->features)
            return cf_fail(CF_INVALID, "%s: %s has %zu numbers, the flow has %zu features", type,
                           names[k], setting->count, layer->features);
        for (size_t f = 0; f < layer->features; f++)
            values[(size_t)k * layer->features + f] =
                given ? setting->reals[setting->count == 1 ? 0 : f] : (double)k;
    }
    return CF_OK;
}

cf_status cf_bind_shift_scale(const cf_layer *layer, cf_binding *binding, size_t *offset) {
    double *values;
    CF_TRY(cf_alloc(&values, 2 * layer->features, sizeof *values));
    cf_status status = fill(layer, values);
    if (status == CF_OK)
        status = cf_bind_buffer(binding, "shift_scale", 2 * layer->features, values, offset);
    cf_free(values);
    return status;
}

static cf_status bind_learned(cf_layer *layer, cf_binding *binding, double *values) {
    affine_state *state = layer->state;
    size_t n = layer->features;
    CF_TRY(fill(layer, values));
    for (size_t f = 0; f < n; f++)
        values[n + f] = log(values[n + f]);
    CF_TRY(cf_bind_parameter_values(binding, "shift", n, values, &state->shift));
    return cf_bind_parameter_values(binding, "log_scale", n, values + n, &state->log_scale);
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *chosen = cf_spec_get(layer->spec, "standardize");
    affine_state *state;
    double *values;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    if (chosen->kind != CF_NONE && chosen->count != layer->features)
        return cf_fail(CF_INVALID, "Affine: standardize has %zu entries, the flow has %zu features",
                       chosen->count, layer->features);
    if (layer->shape.image && cf_spec_int(layer->spec, "robust"))
        return cf_fail(CF_INVALID, "Affine: robust takes vectors, the flow has images");
    state->learned = cf_spec_int(layer->spec, "learned") != 0;
    if (!state->learned)
        return cf_bind_shift_scale(layer, binding, &state->buffers);
    CF_TRY(cf_alloc(&values, 2 * layer->features, sizeof *values));
    cf_status status = bind_learned(layer, binding, values);
    cf_free(values);
    return status;
}

cf_value cf_channel_affine(cf_builder *b, cf_value x, cf_shape shape, cf_value log_scale,
                           cf_value shift, bool inverse, cf_value *log_det) {
    cf_value log_factor = inverse ? cf_scale_shift(b, log_scale, -1.0, 0.0) : log_scale;
    cf_value factor = cf_broadcast_channels(b, cf_exp(b, log_factor), shape);
    shift = cf_broadcast_channels(b, shift, shape);
    *log_det = cf_every_pixel(b, cf_sum_features(b, log_factor), shape);
    if (inverse)
        return cf_multiply(b, cf_subtract(b, x, shift), factor);
    return cf_add(b, cf_multiply(b, x, factor), shift);
}

/* Of learned shifts and scales. */
static cf_value apply(const cf_layer *layer, cf_builder *b, cf_value x, bool inverse,
                      cf_value *log_det) {
    const affine_state *state = layer->state;
    cf_value log_scale = cf_parameter(b, state->log_scale, layer->features);
    cf_value shift = cf_parameter(b, state->shift, layer->features);
    return cf_channel_affine(b, x, cf_vector(layer->features), log_scale, shift, inverse, log_det);
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

static cf_status check(const cf_spec *spec) {
    const cf_setting *scale = cf_spec_get(spec, "scale");
    bool learned = cf_spec_int(spec, "learned") != 0;
    if (learned && cf_spec_get(spec, "standardize")->kind != CF_NONE)
        return cf_fail(CF_INVALID, "Affine: a learned scale and shift are not set from data");
    for (size_t i = 0; scale->kind != CF_NONE && i < scale->count; i++) {
        double s = scale->reals[i];
        if (s == 0.0 || (learned && s < 0.0))
            return cf_fail(CF_INVALID, "Affine: scale must be %s, got %g at index %zu",
                           learned ? "positive" : "other than 0", s, i);
    }
    return CF_OK;
}

static const cf_layer_methods methods = {
    .bind = bind, .forward = forward, .inverse = inverse, .steps = steps};

static const cf_option options[] = {
    {.name = "shift",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "One number or one a feature; None is 0, or the mean of the data that ``fit`` sees "
            "first."},
    {.name = "scale",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc =
         "One number or one a feature, not 0; None is 1, or the standard deviation of those data."},
    {.name = "learned",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether shift and log(scale) are parameters that start at these values (scale "
            "positive)."},
    {.name = "standardize",
     .kinds = CF_OPTION_BOOLS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "Whether ``fit`` sets shift and scale, by feature; the first ``fit`` alone does, while "
            "all of those are 0 and 1. None: of all if neither is given, of none otherwise."},
    {.name = "robust",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether those are the median and half the distance of the 16 % and 84 % quantiles, on "
            "which a few wild numbers have no bearing, of up to 100,000 rows."},
};

const cf_spec_type cf_affine_type = {
    .name = "Affine",
    .role = "layer",
    .doc =
        "Elementwise scale and shift.\n\n"
        "``x = u * scale + shift``, ``log_det = sum(log|scale|)``. As the last layer of a flow, or "
        "with only\nfixed maps such as `Exp` behind it, with neither shift nor scale given, it is "
        "set by the first ``fit``\nto the mean and standard deviation of the data, mapped back to "
        "where it stands, of images by\nchannel: standardisation inside the model, so that "
        "``log_prob`` is in the data's own units.\n\n"
        "The fixed maps beside the data are computed in float64 whatever the flow's dtype: an "
        "offset or a\nnarrow column costs nothing. Samples are of float64 where float32 is too "
        "coarse for them.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
