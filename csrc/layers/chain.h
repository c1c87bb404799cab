/* Layers one after the other within another layer: its children, base to data. */
#ifndef CF_LAYERS_CHAIN_H
#define CF_LAYERS_CHAIN_H

#include "layers/layer.h"

/* cf_layer_reshape of the layers that the option "layers" of `spec` lists. */
cf_status cf_chain_reshape(const cf_spec *spec, bool to_base, cf_shape *shape);

/* Binds those layers as the first children, where `shape` is that of the last one's x and `context`
 * that of what they see; there is room for `more` children behind them. */
cf_status cf_chain_bind(cf_layer *layer, cf_binding *binding, cf_shape shape, cf_shape context,
                        size_t more);

/* Through those children. Adds to *log_det, which may be CF_NO_VALUE. */
cf_value cf_chain_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                          cf_value *log_det);
cf_value cf_chain_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                          cf_value *log_det);

#endif
