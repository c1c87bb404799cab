/* What functions written in Python may refer to: named parameters and networks. */
#ifndef CF_NN_DECLARATIONS_H
#define CF_NN_DECLARATIONS_H

#include "nn/conditioner.h"

/* "parameter NAME SIZE" and "network NAME INPUTS OUTPUTS", separated by semicolons, each numbered
 * in its order. Inputs and outputs are so many features or the shape of an image,
 * "CHANNELSxHEIGHTxWIDTH". */
typedef struct {
    char name[64];
    bool network;
    size_t size;              /* of a parameter, or of a network's outputs */
    size_t offset;            /* of a parameter, in the slab */
    cf_shape inputs, outputs; /* of a network */
    cf_conditioner conditioner;
} cf_declared;

typedef struct {
    cf_declared *parameter, *network;
    size_t parameters, networks;
} cf_declarations;

/* Reads such a size: so many features, or the shape of an image. */
bool cf_read_shape(const char **text, cf_shape *out);

/* Reads the options "declarations", "starts", "networks" and "zero_last" of a spec, and declares
 * what they say. */
cf_status cf_declarations_bind(cf_declarations *out, const cf_spec *spec, cf_binding *binding);

#endif
