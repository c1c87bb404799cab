#include "layers/layer.h"

#include "ops/ops.h"

static const cf_layer_methods *methods_of(const cf_layer *layer) {
    return cf_spec_type_of(layer->spec)->methods;
}

cf_status cf_layer_reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    const cf_layer_methods *methods = cf_spec_type_of(spec)->methods;
    return methods->reshape == NULL ? CF_OK : methods->reshape(spec, to_base, shape);
}

cf_status cf_layer_bind(cf_layer *out, cf_spec *spec, cf_binding *binding, cf_shape shape,
                        cf_shape context) {
    *out = (cf_layer){
        .spec = spec, .shape = shape, .features = cf_shape_features(shape), .context = context};
    CF_TRY(cf_binding_keep(binding, cf_spec_retain(spec)));
    out->stochastic = methods_of(out)->stochastic;
    if (methods_of(out)->bind != NULL)
        CF_TRY(methods_of(out)->bind(out, binding));
    return cf_layer_bind_map(out, binding);
}

cf_status cf_layer_resolve(cf_layer *layer, cf_binding *binding, const char *name,
                           const cf_setting *setting) {
    const cf_spec_type *type = cf_spec_type_of(layer->spec);
    cf_spec *resolved;
    CF_TRY(cf_spec_new(&resolved, type));
    CF_TRY(cf_binding_keep(binding, resolved));
    for (size_t i = 0; i < type->option_count; i++) {
        const cf_setting *other = cf_spec_get(layer->spec, type->options[i].name);
        if (other->is_set)
            CF_TRY(cf_spec_set(resolved, type->options[i].name, other));
    }
    layer->spec = resolved;
    CF_TRY(cf_spec_set(resolved, name, setting));
    return cf_spec_finish(resolved);
}

cf_status cf_layer_resolve_children(cf_layer *layer, cf_binding *binding, const char *name) {
    cf_setting setting = *cf_spec_get(layer->spec, name);
    cf_spec **specs;
    CF_TRY(cf_arena_alloc(binding->arena, &specs, layer->children, sizeof *specs));
    for (size_t i = 0; i < layer->children; i++)
        specs[i] = layer->child[i].spec;
    setting.specs = specs;
    return cf_layer_resolve(layer, binding, name, &setting);
}

bool cf_layer_has_restricted_domain(const cf_layer *layer) {
    bool restricted_domain = methods_of(layer)->restricted_domain;
    for (size_t i = 0; i < layer->children && !restricted_domain; i++)
        restricted_domain = cf_layer_has_restricted_domain(&layer->child[i]);
    return restricted_domain;
}

bool cf_layer_is_stochastic(const cf_layer *layer) {
    bool stochastic = layer->stochastic;
    for (size_t i = 0; i < layer->children && !stochastic; i++)
        stochastic = cf_layer_is_stochastic(&layer->child[i]);
    return stochastic;
}

bool cf_layer_is_penalized(const cf_layer *layer) {
    bool penalized = layer->penalized;
    for (size_t i = 0; i < layer->children && !penalized; i++)
        penalized = cf_layer_is_penalized(&layer->child[i]);
    return penalized;
}

cf_value cf_layer_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                          cf_value *log_det) {
    *log_det = CF_NO_VALUE;
    if (layer->fixed)
        return cf_layer_through_map(layer, b, u, false, log_det);
    return methods_of(layer)->forward(layer, b, u, context, log_det);
}

cf_value cf_layer_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                          cf_value *log_det) {
    *log_det = CF_NO_VALUE;
    if (layer->fixed)
        return cf_layer_through_map(layer, b, x, true, log_det);
    return methods_of(layer)->inverse(layer, b, x, context, log_det);
}
