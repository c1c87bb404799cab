/* Mobius: angles drawn together around a point of the circle (Rezende et al. 2020, section 2.1.1).
 */
#include "layers/affine.h"
#include "layers/layer.h"

typedef struct {
    size_t buffers; /* shift and scale */
} mobius_state;

static bool is_from_data(const cf_layer *layer) {
    return cf_spec_get(layer->spec, "shift")->kind == CF_NONE &&
           cf_spec_get(layer->spec, "scale")->kind == CF_NONE;
}

static bool steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    const mobius_state *state = layer->state;
    return cf_append_step(out, count,
                          (cf_map_step){.kind = CF_MAP_MOBIUS,
                                        .from_data = is_from_data(layer),
                                        .shift = state->buffers + feature,
                                        .scale = state->buffers + layer->features + feature});
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    mobius_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    return cf_bind_shift_scale(layer, binding, &state->buffers);
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *scale = cf_spec_get(spec, "scale");
    for (size_t i = 0; scale->kind != CF_NONE && i < scale->count; i++)
        if (!(scale->reals[i] > 0.0))
            return cf_fail(CF_INVALID, "Mobius: scale must be positive, got %g at index %zu",
                           scale->reals[i], i);
    return CF_OK;
}

static const cf_layer_methods methods = {.bind = bind, .steps = steps};

static const cf_option options[] = {
    {.name = "shift",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "The point, one or one a feature; None is 0, or the mean direction of the data that "
            "``fit`` sees first."},
    {.name = "scale",
     .kinds = CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "Positive: how much nearer numbers near the point are to it. None is 1, or what takes "
            "95 % of those data to seven eighths of the circle; 1 if that is above 1."},
};

const cf_spec_type cf_mobius_type = {
    .name = "Mobius",
    .role = "layer",
    .doc = "Angles in radians, drawn together around a point.\n\n"
           "``x = shift + 2 arctan(scale tan(u / 2))``, ``log_det = sum(log(scale) - "
           "log(cos(u/2)^2 +\nscale^2 sin(u/2)^2))``: whole turns on to whole turns. With neither "
           "shift nor scale given it is set by the\nfirst ``fit``, as `Affine` is: "
           "standardisation of angles, which may lie on a short arc. Circular columns\nof recipes "
           "have it, before a `CircularShift`, which leaves out whole turns.\n\n"
           "References\n----------\n"
           "Rezende et al. 2020, Normalizing flows on tori and spheres, arXiv:2002.02428, "
           "section 2.1.1.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
