/* A layer on some of the features; the others pass. */
#include "layers/mask.h"
#include "ops/ops.h"

/* Whole channels of an image are an image. */
static cf_shape inner_shape(const cf_layer *layer, const cf_mask *mask) {
    cf_shape shape = layer->shape;
    if (!mask->whole_channels)
        return cf_vector(mask->transformed_count);
    shape.channels = mask->transformed_count / cf_pixels(shape);
    return shape;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    cf_mask *mask;
    CF_TRY(cf_arena_alloc(binding->arena, &mask, 1, sizeof *mask));
    layer->state = mask;
    CF_TRY(cf_mask_read(mask, layer, binding, "features", true));
    if (mask->transformed_count == 0)
        return cf_fail(CF_INVALID, "OnFeatures: no feature is left to the layer");
    CF_TRY(cf_arena_alloc(binding->arena, &layer->child, 1, sizeof *layer->child));
    layer->children = 1;
    CF_TRY(cf_layer_bind(layer->child, cf_spec_spec(layer->spec, "layer"), binding,
                         inner_shape(layer, mask), layer->context));
    return cf_layer_resolve_children(layer, binding, "layer");
}

typedef cf_value (*direction)(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                              cf_value *log_det);

static cf_value apply(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                      cf_value *log_det, direction map) {
    const cf_mask *mask = layer->state;
    cf_value identity = cf_select(b, u, mask->identity, mask->identity_count);
    cf_value transformed = cf_select(b, u, mask->transformed, mask->transformed_count);
    return cf_mask_merge(mask, b, identity, map(layer->child, b, transformed, context, log_det));
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    return apply(layer, b, u, context, log_det, cf_layer_forward);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    return apply(layer, b, x, context, log_det, cf_layer_inverse);
}

static bool steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    const cf_mask *mask = layer->state;
    for (size_t i = 0; i < mask->transformed_count; i++)
        if ((size_t)mask->transformed[i] == feature)
            return cf_layer_steps(layer->child, i, out, count);
    return layer->child->fixed;
}

static const cf_layer_methods methods = {
    .bind = bind, .forward = forward, .inverse = inverse, .steps = steps};

static const cf_option options[] = {
    {.name = "features",
     .kinds = CF_OPTION_BOOLS | CF_OPTION_INTS,
     .required = true,
     .doc = "Those that the layer gets, or channels of an image: indices, or a boolean each. They "
            "keep their places."},
    {.name = "layer",
     .kinds = CF_OPTION_SPEC,
     .required = true,
     .spec_role = "layer",
     .doc = "A layer for so many features or channels, in ascending order."},
};

const cf_spec_type cf_on_features_type = {
    .name = "OnFeatures",
    .role = "layer",
    .doc = "A layer on some of the features; the others pass unchanged.\n\n"
           "``x[features] = layer(u[features])``, with the layer's ``log_det``.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
