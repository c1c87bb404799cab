/* Layers one after the other, base to data; the determinant is the product of theirs. */
#include "layers/layer.h"
#include "ops/ops.h"

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *layers = cf_spec_get(layer->spec, "layers");
    CF_TRY(cf_pile_take(binding->pile, &layer->child, layers->count, sizeof *layer->child));
    for (size_t i = 0; i < layers->count; i++) {
        size_t mark;
        CF_TRY(cf_binding_enter(binding, "layers.", (long)i, &mark));
        layer->children = i + 1;
        cf_status status = cf_layer_bind(&layer->child[i], layers->specs[i], binding,
                                         layer->features, layer->context);
        cf_binding_leave(binding, mark);
        CF_TRY(status);
    }
    return cf_layer_resolve_children(layer, binding, "layers");
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    for (size_t i = 0; i < layer->children; i++) {
        cf_value term;
        u = cf_layer_forward(&layer->child[i], b, u, context, &term);
        *log_det = cf_add_optional(b, *log_det, term);
    }
    return u;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    for (size_t i = layer->children; i-- > 0;) {
        cf_value term;
        x = cf_layer_inverse(&layer->child[i], b, x, context, &term);
        *log_det = cf_add_optional(b, *log_det, term);
    }
    return x;
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_option options[] = {
    {.name = "layers",
     .kinds = CF_OPTION_SPECS,
     .fallback = CF_REQUIRED,
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
