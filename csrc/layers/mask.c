#include "layers/mask.h"

#include <string.h>

#include "base/memory.h"
#include "ops/ops.h"

static cf_status read_indices(const cf_layer *layer, const char *name, const cf_setting *mask,
                              unsigned char *keep) {
    const char *type = cf_spec_type_of(layer->spec)->name;
    for (size_t i = 0; i < mask->count; i++) {
        int64_t index = mask->integers[i];
        if (index < 0 || (uint64_t)index >= layer->features)
            return cf_fail(CF_INVALID, "%s: %s index %lld, the flow has %zu features", type, name,
                           (long long)index, layer->features);
        if (keep[index])
            return cf_fail(CF_INVALID,
                           "%s: %s index %lld is repeated (a mask of 0 and 1 must be boolean)",
                           type, name, (long long)index);
        keep[index] = 1;
    }
    return CF_OK;
}

/* keep[f] = whether the mask is True at f. */
static cf_status read_mask(const cf_layer *layer, const char *name, unsigned char *keep) {
    const cf_setting *mask = cf_spec_get(layer->spec, name);
    size_t n = layer->features;
    if (mask->kind == CF_OPTION_INTS)
        return read_indices(layer, name, mask, keep);
    if (mask->kind == CF_OPTION_BOOLS && mask->count != n)
        return cf_fail(CF_INVALID, "%s: the %s has %zu entries, the flow has %zu features",
                       cf_spec_type_of(layer->spec)->name, name, mask->count, n);
    bool half = mask->kind == CF_OPTION_STRING && strcmp(mask->string, "half") == 0;
    for (size_t f = 0; f < n; f++)
        if (mask->kind == CF_OPTION_BOOLS)
            keep[f] = mask->integers[f] != 0;
        else
            keep[f] = half ? f < n / 2 : f % 2 == 0;
    if (mask->kind == CF_OPTION_STRING && n == 1)
        keep[0] = 0; /* nothing can condition: both names transform the one feature */
    return CF_OK;
}

static cf_status split(cf_mask *out, const cf_layer *layer, cf_binding *binding, const char *name,
                       bool swap, unsigned char *keep) {
    size_t n = layer->features;
    CF_TRY(read_mask(layer, name, keep));
    CF_TRY(cf_pile_take(binding->pile, &out->kept, n, sizeof *out->kept));
    CF_TRY(cf_pile_take(binding->pile, &out->moved, n, sizeof *out->moved));
    for (size_t f = 0; f < n; f++)
        if ((keep[f] != 0) != swap)
            out->kept[out->kept_count++] = (int64_t)f;
        else
            out->moved[out->moved_count++] = (int64_t)f;
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

cf_value cf_mask_merge(const cf_mask *mask, cf_builder *b, cf_value kept, cf_value moved) {
    return cf_merge(b, kept, mask->kept, mask->kept_count, moved, mask->moved, mask->moved_count);
}
