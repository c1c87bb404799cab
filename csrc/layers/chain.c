/* Layers one after the other, base to data; the determinant is the product of theirs. */
#include "layers/chain.h"
#include "ops/ops.h"

/* Through layers [first, end). */
static cf_status reshape_part(const cf_setting *layers, size_t first, size_t end, bool to_base,
                              cf_shape *shape) {
    for (size_t i = first; i < end; i++) {
        const cf_spec *layer = layers->specs[to_base ? end - 1 - (i - first) : i];
        CF_TRY(cf_layer_reshape(layer, to_base, shape));
    }
    return CF_OK;
}

cf_status cf_chain_reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    const cf_setting *layers = cf_spec_get(spec, "layers");
    return reshape_part(layers, 0, layers->count, to_base, shape);
}

/* Names and random choices are numbered from the base; shapes are known at the data. */
cf_status cf_chain_bind(cf_layer *layer, cf_binding *binding, cf_shape shape, cf_shape context,
                        size_t more) {
    const cf_setting *layers = cf_spec_get(layer->spec, "layers");
    size_t count = layers->count;
    CF_TRY(cf_arena_alloc(binding->arena, &layer->child, count + more, sizeof *layer->child));
    for (size_t i = 0; i < count; i++) {
        size_t mark;
        cf_shape x = shape;
        CF_TRY(reshape_part(layers, i + 1, count, true, &x));
        CF_TRY(cf_binding_enter(binding, "layers.", (long)i, &mark));
        layer->children = i + 1;
        cf_status status = cf_layer_bind(&layer->child[i], layers->specs[i], binding, x, context);
        cf_binding_leave(binding, mark);
        CF_TRY(status);
    }
    CF_TRY(cf_layer_bind_last_maps(layer, count, binding));
    return cf_layer_resolve_children(layer, binding, "layers");
}

cf_value cf_chain_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                          cf_value *log_det) {
    cf_value term;
    for (size_t i = 0; i < layer->mapped; i++) {
        u = cf_layer_forward(&layer->child[i], b, u, context, &term);
        *log_det = cf_add_optional(b, *log_det, term);
    }
    if (layer->map == NULL)
        return u;
    u = cf_layer_through_map(layer, b, u, false, &term);
    *log_det = cf_add_optional(b, *log_det, term);
    return u;
}

cf_value cf_chain_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                          cf_value *log_det) {
    cf_value term;
    if (layer->map != NULL) {
        x = cf_layer_through_map(layer, b, x, true, &term);
        *log_det = cf_add_optional(b, *log_det, term);
    }
    for (size_t i = layer->mapped; i-- > 0;) {
        x = cf_layer_inverse(&layer->child[i], b, x, context, &term);
        *log_det = cf_add_optional(b, *log_det, term);
    }
    return x;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    return cf_chain_bind(layer, binding, layer->shape, layer->context, 0);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    return cf_chain_forward(layer, b, u, context, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    return cf_chain_inverse(layer, b, x, context, log_det);
}

static bool steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    for (size_t i = 0; i < layer->children; i++)
        if (!cf_layer_steps(&layer->child[i], feature, out, count))
            return false;
    return true;
}

static const cf_layer_methods methods = {.bind = bind,
                                         .forward = forward,
                                         .inverse = inverse,
                                         .reshape = cf_chain_reshape,
                                         .steps = steps};

static const cf_option options[] = {
    {.name = "layers",
     .kinds = CF_OPTION_SPECS,
     .required = true,
     .spec_role = "layer",
     .doc = "The layers, base to data."},
};

const cf_spec_type cf_chain_type = {
    .name = "Chain",
    .role = "layer",
    .doc =
        "Layers one after the other, base to data: ``Chain([A, B])`` computes ``x = B(A(u))``.\n\n"
        "``log_det = log|det J_A(u)| + log|det J_B(A(u))|``.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
