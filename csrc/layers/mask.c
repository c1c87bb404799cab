#include "layers/mask.h"

#include <string.h>

#include "base/memory.h"
#include "ops/ops.h"

/* What the entries of a mask stand for: channels, each with all its pixels, or features. */
static const char *unit_name(const cf_layer *layer) {
    return layer->shape.image ? "channels" : "features";
}

static cf_status read_indices(const cf_layer *layer, const char *name, const cf_setting *mask,
                              unsigned char *keep) {
    const char *type = cf_spec_type_of(layer->spec)->name;
    size_t units = layer->shape.channels;
    for (size_t i = 0; i < mask->count; i++) {
        int64_t index = mask->integers[i];
        if (index < 0 || (uint64_t)index >= units)
            return cf_fail(CF_INVALID,
                           "%s: %s index %lld is not from 0 to %zu: the flow has %zu %s", type,
                           name, (long long)index, units - 1, units, unit_name(layer));
        if (keep[index])
            return cf_fail(CF_INVALID,
                           "%s: %s index %lld is repeated (a mask of 0 and 1 must be boolean)",
                           type, name, (long long)index);
        keep[index] = 1;
    }
    return CF_OK;
}

static bool is_named(const cf_setting *mask, const char *name) {
    return mask->kind == CF_OPTION_STRING && strcmp(mask->string, name) == 0;
}

static cf_status check_kind(const cf_layer *layer, const char *name, const cf_setting *mask) {
    const char *type = cf_spec_type_of(layer->spec)->name;
    size_t c = layer->shape.channels, n = layer->features;
    if (is_named(mask, "checkerboard") && !layer->shape.image)
        return cf_fail(CF_INVALID,
                       "%s: a checkerboard is of an image, and the flow is of vectors: "
                       "give it a shape (channels, height, width)",
                       type);
    if (mask->kind != CF_OPTION_BOOLS || mask->count == c || mask->count == n)
        return CF_OK;
    if (!layer->shape.image)
        return cf_fail(CF_INVALID, "%s: the %s must have %zu entries, one a feature, got %zu", type,
                       name, n, mask->count);
    return cf_fail(CF_INVALID,
                   "%s: the %s has %zu entries, the image has %zu channels, %zu features", type,
                   name, mask->count, c, n);
}

/* The number of units that the mask has entries for. */
static size_t count_units(const cf_layer *layer, const cf_setting *mask) {
    bool pixels = is_named(mask, "checkerboard") ||
                  (mask->kind == CF_OPTION_BOOLS && mask->count != layer->shape.channels);
    return pixels ? layer->features : layer->shape.channels;
}

/* keep[i] = whether the mask is True at unit i. */
static cf_status read_mask(const cf_layer *layer, const char *name, size_t units,
                           unsigned char *keep) {
    const cf_setting *mask = cf_spec_get(layer->spec, name);
    size_t width = layer->shape.width;
    if (mask->kind == CF_OPTION_INTS)
        return read_indices(layer, name, mask, keep);
    for (size_t i = 0; i < units; i++) {
        size_t pixel = i % cf_pixels(layer->shape);
        if (mask->kind == CF_OPTION_BOOLS)
            keep[i] = mask->integers[i] != 0;
        else if (is_named(mask, "checkerboard"))
            keep[i] = (pixel / width + pixel % width) % 2 == 0;
        else
            keep[i] = is_named(mask, "half") ? i < units / 2 : i % 2 == 0;
    }
    if (mask->kind == CF_OPTION_STRING && units == 1)
        keep[0] = 0; /* nothing can condition: whatever the name, the one feature is transformed */
    return CF_OK;
}

static cf_status split(cf_mask *out, const cf_layer *layer, cf_binding *binding, const char *name,
                       bool swap, unsigned char *keep) {
    const cf_setting *mask = cf_spec_get(layer->spec, name);
    size_t n = layer->features, units = count_units(layer, mask);
    CF_TRY(check_kind(layer, name, mask));
    CF_TRY(read_mask(layer, name, units, keep));
    CF_TRY(cf_arena_alloc(binding->arena, &out->identity, n, sizeof *out->identity));
    CF_TRY(cf_arena_alloc(binding->arena, &out->transformed, n, sizeof *out->transformed));
    out->whole_channels = units == layer->shape.channels;
    for (size_t f = 0; f < n; f++)
        if ((keep[f / (n / units)] != 0) != swap)
            out->identity[out->identity_count++] = (int64_t)f;
        else
            out->transformed[out->transformed_count++] = (int64_t)f;
    return CF_OK;
}

cf_status cf_mask_read(cf_mask *out, const cf_layer *layer, cf_binding *binding, const char *name,
                       bool swap) {
    unsigned char *keep;
    *out = (cf_mask){0};
    CF_TRY(cf_alloc(&keep, layer->features, 1));
    cf_status status = split(out, layer, binding, name, swap, keep);
    cf_free(keep);
    return status;
}

cf_status cf_mask_count(const cf_spec *spec, cf_shape shape, const char *name, bool swap,
                        size_t *identity) {
    const cf_layer layer = {
        .spec = (cf_spec *)spec, .shape = shape, .features = cf_shape_features(shape)};
    size_t units = count_units(&layer, cf_spec_get(spec, name));
    unsigned char *keep;
    *identity = 0;
    CF_TRY(check_kind(&layer, name, cf_spec_get(spec, name)));
    CF_TRY(cf_alloc(&keep, units, 1));
    cf_status status = read_mask(&layer, name, units, keep);
    for (size_t i = 0; i < units; i++)
        *identity += ((keep[i] != 0) != swap) * (layer.features / units);
    cf_free(keep);
    return status;
}

cf_value cf_mask_merge(const cf_mask *mask, cf_builder *b, cf_value identity,
                       cf_value transformed) {
    return cf_merge(b, identity, mask->identity, mask->identity_count, transformed,
                    mask->transformed, mask->transformed_count);
}
