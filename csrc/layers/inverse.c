/* Any layer with its two directions swapped. */
#include "layers/layer.h"
#include "ops/ops.h"

static cf_status reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    return cf_layer_reshape(cf_spec_spec(spec, "layer"), !to_base, shape);
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    cf_shape shape = layer->shape; /* whose x is that layer's u */
    CF_TRY(reshape(layer->spec, true, &shape));
    CF_TRY(cf_arena_alloc(binding->arena, &layer->child, 1, sizeof *layer->child));
    layer->children = 1;
    CF_TRY(cf_layer_bind(layer->child, cf_spec_spec(layer->spec, "layer"), binding, shape,
                         layer->context));
    return cf_layer_resolve_children(layer, binding, "layer");
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    return cf_layer_inverse(layer->child, b, u, context, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    return cf_layer_forward(layer->child, b, x, context, log_det);
}

/* The steps of the layer, the last one first. */
static bool steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    size_t first = *count;
    if (!cf_layer_steps(layer->child, feature, out, count))
        return false;
    for (size_t i = first, k = *count; out != NULL && i < k--; i++) {
        cf_map_step step = out[i];
        out[i] = out[k];
        out[k] = step;
    }
    for (size_t i = first; out != NULL && i < *count; i++) {
        out[i].inverted = !out[i].inverted;
        out[i].from_data = false;
    }
    return true;
}

static const cf_layer_methods methods = {
    .bind = bind, .forward = forward, .inverse = inverse, .reshape = reshape, .steps = steps};

static const cf_option options[] = {
    {.name = "layer",
     .kinds = CF_OPTION_SPEC,
     .required = true,
     .spec_role = "layer",
     .doc = "The layer to be turned round."},
};

const cf_spec_type cf_inverse_type = {
    .name = "Inverse",
    .role = "layer",
    .doc = "A layer with its two directions swapped: its ``forward``, ``log_det`` included, is the "
           "layer's\n``inverse``.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
