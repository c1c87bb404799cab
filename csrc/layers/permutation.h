/* Lists of indices, given by options or random. */
#ifndef CF_LAYERS_PERMUTATION_H
#define CF_LAYERS_PERMUTATION_H

#include "layers/layer.h"

/* (-1)^(number of transpositions) of a permutation of 0 … n-1; `seen` is scratch of n bytes. */
int cf_permutation_sign(const int64_t *indices, size_t n, unsigned char *seen);

/* Fails if the option `name`, where it is a list, does not hold every index from 0 on once. */
cf_status cf_permutation_check(const cf_spec *spec, const char *name);

typedef struct {
    int64_t *indices; /* one a feature */
    int64_t *inverse; /* inverse[indices[i]] = i */
} cf_permutation;

/* Reads the option `name`: "natural", "reverse", "random", "checkerboard" or a list of all indices.
 * There are `count` of them: the layer's features, or its channels, each of which is moved as a
 * whole. layer->spec has the list from then on. The arrays lie in the flow's arena. */
cf_status cf_permutation_bind(cf_permutation *out, cf_layer *layer, cf_binding *binding,
                              const char *name, size_t count);

#endif
