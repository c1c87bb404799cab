/* Standard exponential random numbers, from which others are made. */
#ifndef CF_DIST_EXPONENTIAL_H
#define CF_DIST_EXPONENTIAL_H

#include "engine/program.h"

/* They are all positive: half the squared radius of a normal point in the plane, so that their tail
 * reaches as far as that of normal numbers. */
cf_value cf_exponential_samples(cf_builder *b, size_t features, uint32_t stream);

#endif
