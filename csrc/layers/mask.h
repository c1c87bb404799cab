/* Which features a layer keeps and which it transforms. */
#ifndef CF_LAYERS_MASK_H
#define CF_LAYERS_MASK_H

#include "layers/layer.h"

typedef struct {
    size_t kept_count, moved_count;
    int64_t *kept, *moved; /* feature indices, ascending */
} cf_mask;

/* Reads the option `name`: "half", "alternating", a boolean a feature, or indices: True, or listed,
 * where a feature is kept; the other way round if `swap`. The lists lie in the flow's pile. */
cf_status cf_mask_read(cf_mask *out, const cf_layer *layer, cf_binding *binding, const char *name,
                       bool swap);

/* A value of both parts again. */
cf_value cf_mask_merge(const cf_mask *mask, cf_builder *b, cf_value kept, cf_value moved);

#endif
