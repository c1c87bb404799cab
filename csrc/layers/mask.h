/* Which features a layer keeps and which it transforms. */
#ifndef CF_LAYERS_MASK_H
#define CF_LAYERS_MASK_H

#include "layers/layer.h"

typedef struct {
    size_t kept_count, moved_count;
    int64_t *kept, *moved; /* feature indices, ascending */
    bool whole_channels;   /* no channel is kept in part: of a vector, true */
} cf_mask;

/* Reads the option `name`: "half", "alternating", "checkerboard", a boolean a channel or a feature,
 * or indices of channels: True, or listed, where a channel or feature is kept; the other way round
 * if `swap`. The lists lie in the flow's pile. */
cf_status cf_mask_read(cf_mask *out, const cf_layer *layer, cf_binding *binding, const char *name,
                       bool swap);

/* How many features it would keep in a sample of `shape`. */
cf_status cf_mask_count(const cf_spec *spec, cf_shape shape, const char *name, bool swap,
                        size_t *kept);

/* A value of both parts again. */
cf_value cf_mask_merge(const cf_mask *mask, cf_builder *b, cf_value kept, cf_value moved);

#endif
