/* Multiplication by a triangular matrix, as what sets it from data sees it. */
#ifndef CF_LAYERS_TRIANGULAR_H
#define CF_LAYERS_TRIANGULAR_H

#include "layers/layer.h"

/* Offsets in the parameter slab. */
typedef struct {
    bool upper, has_bias;
    size_t features;
    size_t weight;   /* features x features, of which the strict triangle counts */
    size_t diagonal; /* logarithms */
    size_t bias;     /* if there is one */
} cf_triangular_parameters;

/* Whether the layer is a Triangular that data set. */
bool cf_triangular_from_data(const cf_layer *layer, cf_triangular_parameters *out);

extern const cf_spec_type cf_triangular_type;

#endif
