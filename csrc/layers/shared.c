/* Shared: layers of one name have one set of parameters. */
#include <ctype.h>
#include <string.h>

#include "layers/layer.h"
#include "ops/ops.h"

/* What the first place of a name has bound; in the flow's arena. */
typedef struct cf_shared_layer {
    const char *name;
    const cf_spec *spec;    /* as it was given */
    cf_shape base, context; /* shapes of u and of the context; that of x is the layer's */
    cf_layer layer;
    bool bound;
    bool from_data; /* it has statistics of what passes through it */
    const struct cf_shared_layer *next;
} shared_layer;

static const shared_layer *find(const cf_binding *binding, const char *name) {
    const shared_layer *found = binding->shared;
    while (found != NULL && strcmp(found->name, name) != 0)
        found = found->next;
    return found;
}

/* ---- the first place ---- */

static bool has_statistics(const cf_layer *layer, const cf_binding *binding, size_t first) {
    bool found = false;
    for (size_t k = first; k < binding->statistic_count; k++)
        found |= !binding->statistics[k].of_weights;
    const cf_fixed_map *map = layer->fixed ? layer->map : NULL;
    for (size_t i = 0; map != NULL && i < map->first[map->features]; i++)
        found |= map->steps[i].from_data;
    return found;
}

/* Names begin anew: "shared.NAME.", wherever the first place is. */
static cf_status bind_first(cf_layer *layer, cf_binding *binding, cf_shape base,
                            const shared_layer **out) {
    const cf_spec *spec = layer->spec;
    shared_layer *first;
    char path[sizeof binding->path];
    size_t mark, statistics = binding->statistic_count;
    CF_TRY(cf_arena_alloc(binding->arena, &first, 1, sizeof *first));
    *first = (shared_layer){.name = cf_spec_string(spec, "name"),
                            .spec = cf_spec_spec(spec, "layer"),
                            .base = base,
                            .context = layer->context,
                            .next = binding->shared};
    *out = binding->shared = first;
    memcpy(path, binding->path, sizeof path);
    binding->path[0] = '\0';
    cf_status status = cf_binding_enter(binding, "shared", -1, &mark);
    if (status == CF_OK)
        status = cf_binding_enter(binding, first->name, -1, &mark);
    if (status == CF_OK)
        status = cf_layer_bind(&first->layer, cf_spec_spec(spec, "layer"), binding, layer->shape,
                               layer->context);
    memcpy(binding->path, path, sizeof path);
    CF_TRY(status);
    first->from_data = has_statistics(&first->layer, binding, statistics);
    first->bound = true;
    return CF_OK;
}

/* ---- the others ---- */

static cf_status check_spec(const shared_layer *first, const cf_spec *spec) {
    const char *one = cf_spec_type_of(first->spec)->name, *other = cf_spec_type_of(spec)->name;
    if (cf_spec_equal(first->spec, spec))
        return CF_OK;
    return cf_fail(CF_INVALID,
                   "Shared: '%s' must be the same layer at all its places, got %s and %s%s",
                   first->name, one, other, strcmp(one, other) == 0 ? " of other options" : "");
}

static cf_status check_sizes(const shared_layer *first, const cf_layer *layer, cf_shape base) {
    const cf_shape *x = &first->layer.shape, *context = &first->context;
    if (!cf_same_shape(*x, layer->shape) || !cf_same_shape(first->base, base))
        return cf_fail(CF_INVALID,
                       "Shared: '%s' must have the same sizes at all its places, got x of %zu x "
                       "%zu x %zu and of %zu x %zu x %zu",
                       first->name, x->channels, x->height, x->width, layer->shape.channels,
                       layer->shape.height, layer->shape.width);
    if (!cf_same_shape(*context, layer->context))
        return cf_fail(CF_INVALID,
                       "Shared: '%s' must have the same context at all its places, got %zu and "
                       "%zu context features",
                       first->name, cf_shape_features(*context), cf_shape_features(layer->context));
    return CF_OK;
}

static cf_status check_again(const shared_layer *first, const cf_layer *layer, cf_shape base) {
    if (!first->bound)
        return cf_fail(CF_INVALID, "Shared: '%s' is within a layer of the same name", first->name);
    CF_TRY(check_spec(first, cf_spec_spec(layer->spec, "layer")));
    CF_TRY(check_sizes(first, layer, base));
    if (first->from_data)
        return cf_fail(CF_INVALID,
                       "Shared: '%s' has statistics of the data, which differ from place to place: "
                       "leave ActNorm, BatchNorm and an Affine that fit sets outside of it",
                       first->name);
    return CF_OK;
}

/* ---- the layer ---- */

static cf_status reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    return cf_layer_reshape(cf_spec_spec(spec, "layer"), to_base, shape);
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const shared_layer *first = find(binding, cf_spec_string(layer->spec, "name"));
    cf_shape base = layer->shape;
    CF_TRY(reshape(layer->spec, true, &base));
    if (first != NULL)
        CF_TRY(check_again(first, layer, base));
    else
        CF_TRY(bind_first(layer, binding, base, &first));
    CF_TRY(cf_arena_alloc(binding->arena, &layer->child, 1, sizeof *layer->child));
    *layer->child = first->layer;
    layer->children = 1;
    return cf_layer_resolve_children(layer, binding, "layer");
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    return cf_layer_forward(layer->child, b, u, context, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    return cf_layer_inverse(layer->child, b, x, context, log_det);
}

static bool steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    return cf_layer_steps(layer->child, feature, out, count);
}

/* A name is part of those of parameters. */
static cf_status check(const cf_spec *spec) {
    enum { MAX_LENGTH = 63 };
    const char *name = cf_spec_string(spec, "name");
    size_t length = strlen(name);
    bool valid = length > 0 && length <= MAX_LENGTH;
    for (size_t i = 0; i < length && valid; i++)
        valid = name[i] == '_' || (isalnum((unsigned char)name[i]) && (name[i] & 0x80) == 0);
    if (!valid)
        return cf_fail(CF_INVALID,
                       "Shared: name must be 1 to %d letters, digits and underscores, got '%.80s'",
                       MAX_LENGTH, name);
    return CF_OK;
}

static const cf_layer_methods methods = {
    .bind = bind, .forward = forward, .inverse = inverse, .reshape = reshape, .steps = steps};

static const cf_option options[] = {
    {.name = "layer",
     .kinds = CF_OPTION_SPEC,
     .required = true,
     .spec_role = "layer",
     .doc = "The layer, or a `Chain` of several: the same at all places of the name."},
    {.name = "name",
     .kinds = CF_OPTION_STRING,
     .required = true,
     .doc = "Letters, digits and underscores. Parameters are ``shared.<name>.…``."},
};

const cf_spec_type cf_shared_type = {
    .name = "Shared",
    .role = "layer",
    .doc =
        "A layer that shares its parameters with those of the same name, anywhere in the flow.\n\n"
        "``block = Shared(Chain([…]), 'block')`` in ``Flow([block, block, block])`` is one block, "
        "three\n"
        "times: its map is applied at each place, and its parameters, of which there is one set, "
        "get the sum\n"
        "of the places' gradients. A random choice is made once. Without `Shared` a layer that is "
        "listed\n"
        "twice is two layers. The places have the same sizes. What takes statistics of the data, "
        "`ActNorm`,\n"
        "`BatchNorm` and an `Affine` that ``fit`` sets, cannot be shared: the statistics differ.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
