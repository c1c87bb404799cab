/* Which features a layer passes as they are, the identity ones, and which it transforms. */
#ifndef CF_LAYERS_MASK_H
#define CF_LAYERS_MASK_H

#include "layers/layer.h"

typedef struct {
    size_t identity_count, transformed_count;
    int64_t *identity, *transformed; /* feature indices, ascending */
    bool whole_channels;             /* no channel is cut: of a vector, true */
} cf_mask;

/* Reads the option `name`: "half", "alternating", "checkerboard", a boolean a channel or a feature,
 * or indices of channels: True, or listed, where a channel or feature is an identity one; the other
 * way round if `swap`. The lists lie in the flow's arena. */
cf_status cf_mask_read(cf_mask *out, const cf_layer *layer, cf_binding *binding, const char *name,
                       bool swap);

/* How many identity features there would be in a sample of `shape`. */
cf_status cf_mask_count(const cf_spec *spec, cf_shape shape, const char *name, bool swap,
                        size_t *identity);

/* Joins both parts again. */
cf_value cf_mask_merge(const cf_mask *mask, cf_builder *b, cf_value identity, cf_value transformed);

#endif
