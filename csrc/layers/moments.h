/* Statistics of all rows of a run, which one layer's ops compute and its later ops read. */
#ifndef CF_LAYERS_MOMENTS_H
#define CF_LAYERS_MOMENTS_H

#include "engine/program.h"

typedef struct {
    cf_value mean, variance; /* shared, by feature; the variance divides by the number of rows */
    cf_value centred;        /* rows less the mean */
} cf_moments;

cf_moments cf_moments_of(cf_builder *b, cf_value x);

#endif
