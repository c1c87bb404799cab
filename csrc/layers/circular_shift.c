/* CircularShift: features shifted on a circle (Rezende et al. 2020, section 2.1.1). */
#include "layers/interval.h"
#include "layers/layer.h"
#include "ops/ops.h"

typedef struct {
    size_t shift; /* parameter, if learned */
} shift_state;

static bool is_learned(const cf_layer *layer) {
    return cf_spec_int(layer->spec, "learned") != 0;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    shift_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    if (!is_learned(layer))
        return CF_OK;
    return cf_bind_parameter_constant(binding, "shift", layer->features,
                                      cf_spec_real(layer->spec, "shift"), &state->shift);
}

static bool steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)feature;
    if (is_learned(layer))
        return false;
    return cf_append_step(out, count,
                          (cf_map_step){.kind = CF_MAP_CIRCLE,
                                        .low = cf_spec_real(layer->spec, "low"),
                                        .high = cf_spec_real(layer->spec, "high"),
                                        .rate = cf_spec_real(layer->spec, "shift")});
}

/* By learned shifts. */
static cf_value apply(const cf_layer *layer, cf_builder *b, cf_value x, double sign) {
    const shift_state *state = layer->state;
    cf_value shift = cf_parameter(b, state->shift, layer->features);
    return cf_wrap_to_interval(b, layer->spec,
                               sign > 0.0 ? cf_add(b, x, shift) : cf_subtract(b, x, shift));
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    (void)context;
    (void)log_det;
    return apply(layer, b, u, 1.0);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    (void)context;
    (void)log_det;
    return apply(layer, b, x, -1.0);
}

static const cf_layer_methods methods = {
    .bind = bind, .forward = forward, .inverse = inverse, .steps = steps};

static const cf_option options[] = {
    {.name = "shift",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc = "By how much features are shifted, forward."},
    CF_CIRCLE_OPTIONS,
    {.name = "learned",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether every feature's shift is a parameter, which starts at `shift`."},
};

const cf_spec_type cf_circular_shift_type = {
    .name = "CircularShift",
    .role = "layer",
    .doc = "Features shifted on a circle: angles.\n\n"
           "``x = low + (u + shift - low) mod (high - low)``, ``log_det = 0``. Either direction "
           "takes any number,\n"
           "and leaves out whole turns: with ``shift=0``, the last layer of a flow of angles.\n\n"
           "References\n----------\n"
           "Rezende et al. 2020, Normalizing flows on tori and spheres, arXiv:2002.02428, "
           "section 2.1.1.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_interval_check,
    .methods = &methods,
};
