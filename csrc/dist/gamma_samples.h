/* Gamma random numbers, from which beta ones are made, too. */
#ifndef CF_DIST_GAMMA_SAMPLES_H
#define CF_DIST_GAMMA_SAMPLES_H

#include "engine/program.h"

/* Their logarithms, of scale 1 and this shape, of one feature or as many. They read
 * two streams, `stream` and the next, and depend on the shape as quantiles do: gradients are
 * exact. */
cf_value cf_log_gamma_samples(cf_builder *b, size_t features, cf_value shape, uint32_t stream);

#endif
