/* Householder reflections. */
#ifndef CF_LAYERS_HOUSEHOLDER_H
#define CF_LAYERS_HOUSEHOLDER_H

#include "base/shape.h"
#include "engine/program.h"

/* x after reflections of its channels at the hyperplanes orthogonal to each of `count` vectors,
 * from the first to the last, or backwards: the inverse. Of batched vectors x is one too. */
cf_value cf_reflect(cf_builder *b, cf_value vectors, size_t count, cf_value x, cf_shape shape,
                    bool backwards);

#endif
