/* Statistics of all samples of a run, which one layer's ops compute and its later ops read. */
#ifndef CF_LAYERS_MOMENTS_H
#define CF_LAYERS_MOMENTS_H

#include "base/shape.h"
#include "engine/program.h"

typedef struct {
    cf_value mean, variance; /* unbatched, by channel; the variance divides by the count of a
                                channel's numbers: samples times pixels */
    cf_value centred;        /* x less the mean */
} cf_moments;

cf_moments cf_moments_of(cf_builder *b, cf_value x, cf_shape shape);

#endif
