/* Adding up what groups of tiles have computed. */
#ifndef CF_ENGINE_REDUCE_H
#define CF_ENGINE_REDUCE_H

#include <stddef.h>

#include "simd/simd.h"

/* out[i] = ((out[i] + group 0's [i]) + group 1's [i]) + …, group g's elements being at groups + g *
 * stride elements. */
typedef void (*cf_reduce_kernel)(size_t n, size_t groups, size_t stride, const void *group,
                                 void *out);

extern const cf_reduce_kernel cf_reduce[CF_SIMD_LEVELS][CF_DTYPES];

#endif
