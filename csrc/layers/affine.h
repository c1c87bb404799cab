/* Learned elementwise scale and shift, as layers have them. */
#ifndef CF_LAYERS_AFFINE_H
#define CF_LAYERS_AFFINE_H

#include "base/shape.h"
#include "engine/program.h"
#include "layers/layer.h"

/* x exp(log_scale) + shift of unbatched values, one a channel, or its inverse, with its log_det: an
 * unbatched number. */
cf_value cf_channel_affine(cf_builder *b, cf_value x, cf_shape shape, cf_value log_scale,
                           cf_value shift, bool inverse, cf_value *log_det);

/* Binds the options shift and scale, numbers a feature, all shifts first, as a buffer; 0 and 1
 * where they are none. CF_INVALID if they are of another number of features. */
cf_status cf_bind_shift_scale(const cf_layer *layer, cf_binding *binding, size_t *offset);

#endif
