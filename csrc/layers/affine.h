/* Learned elementwise scale and shift, as layers have them. */
#ifndef CF_LAYERS_AFFINE_H
#define CF_LAYERS_AFFINE_H

#include "base/shape.h"
#include "engine/program.h"

/* x exp(log_scale) + shift of unbatched values, one a channel, or its inverse, with its log_det: an
 * unbatched number. */
cf_value cf_channel_affine(cf_builder *b, cf_value x, cf_shape shape, cf_value log_scale,
                           cf_value shift, bool inverse, cf_value *log_det);

#endif
