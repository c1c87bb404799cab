/* What a loss of its own needs of a continuous layer: its velocity, without solving. */
#ifndef CF_LAYERS_CONTINUOUS_H
#define CF_LAYERS_CONTINUOUS_H

#include "layers/layer.h"

extern const cf_spec_type cf_continuous_type;

/* v(x, t) of a layer of that type, as many features as x; t is one feature, from 0 at the base to 1
 * at the data. */
cf_value cf_continuous_velocity(const cf_layer *layer, cf_builder *b, cf_value t, cf_value x,
                                cf_value context);

#endif
