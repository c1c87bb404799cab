/* Layers that are fixed maps of every feature by itself: one after the other they are one map. */
#include "layers/layer.h"
#include "ops/ops.h"

bool cf_layer_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    const cf_layer_methods *methods = cf_spec_type_of(layer->spec)->methods;
    return methods->steps != NULL && methods->steps(layer, feature, out, count);
}

/* No layers at all are no map: there is nothing to compute. */
static bool is_fixed(const cf_layer *layer) {
    size_t count = 0;
    for (size_t f = 0; f < layer->features && count == 0; f++)
        if (!cf_layer_steps(layer, f, NULL, &count))
            return false;
    return count > 0;
}

/* The map of `count` layers of as many features. */
static cf_status new_map(const cf_layer *layers, size_t count, cf_binding *binding,
                         const cf_fixed_map **out) {
    size_t features = layers[0].features, total = 0, *first;
    cf_map_step *steps;
    cf_fixed_map *map;
    CF_TRY(cf_arena_alloc(binding->arena, &map, 1, sizeof *map));
    CF_TRY(cf_arena_alloc(binding->arena, &first, features + 1, sizeof *first));
    for (size_t f = 0; f < features; f++)
        for (size_t i = 0; i < count; i++)
            cf_layer_steps(&layers[i], f, NULL, &total);
    CF_TRY(cf_arena_alloc(binding->arena, &steps, total + 1, sizeof *steps));
    total = 0;
    for (size_t f = 0; f < features; f++) {
        first[f] = total;
        for (size_t i = 0; i < count; i++)
            cf_layer_steps(&layers[i], f, steps, &total);
    }
    first[features] = total;
    *map = (cf_fixed_map){.features = features, .first = first, .steps = steps};
    *out = map;
    return CF_OK;
}

cf_status cf_layer_bind_map(cf_layer *layer, cf_binding *binding) {
    layer->fixed = is_fixed(layer);
    return layer->fixed && layer->map == NULL ? new_map(layer, 1, binding, &layer->map) : CF_OK;
}

cf_status cf_layer_bind_last_maps(cf_layer *layer, size_t count, cf_binding *binding) {
    layer->mapped = count;
    while (layer->mapped > 0 && is_fixed(&layer->child[layer->mapped - 1]))
        layer->mapped--;
    if (layer->mapped == count)
        return CF_OK;
    return new_map(&layer->child[layer->mapped], count - layer->mapped, binding, &layer->map);
}

/* What is added to integers on the way in that direction, or CF_NO_VALUE. */
static cf_value draw_noise(const cf_fixed_map *map, cf_builder *b, bool to_base) {
    for (size_t i = 0; i < map->first[map->features]; i++)
        if (map->steps[i].kind == CF_MAP_FLOOR && map->steps[i].inverted != to_base)
            return cf_uniform_noise(b, map->features);
    return CF_NO_VALUE;
}

cf_value cf_layer_through_map(const cf_layer *layer, cf_builder *b, cf_value x, bool to_base,
                              cf_value *log_det) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value noise = draw_noise(layer->map, b, to_base);
    *log_det = cf_fixed_map_log_det(b, x, layer->map, to_base, noise);
    return cf_fixed_map_value(b, x, layer->map, to_base, noise);
}

const cf_fixed_map *cf_layer_data_map(const cf_layer *layer) {
    while (layer->map == NULL && cf_spec_type_of(layer->spec) == &cf_chain_type &&
           layer->children > 0)
        layer = &layer->child[layer->children - 1];
    return layer->map;
}
