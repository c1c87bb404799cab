/* Rows of random numbers, feature-major, from Philox 4x32-10 (base/philox.h).
 *
 * Feature j of global row i is a function of (seed, i, stream, j) alone: not of how many lanes or
 * features are drawn, nor of the thread or tile. Known-answer tests freeze what follows, since
 * samples depend on it.
 *
 * A row's draws have b = 32 bits for float32 and b = 64 for float64. Let w be the words of
 * cf_philox(seed, i, stream, block); the draws of this block are
 *
 *     float32: of the features 4 block + k, k = 0 to 3,   w[k]
 *
 *     float64: of the features 2 block + k, k = 0 and 1,  w[2 k] + 2^32 w[2 k + 1]
 *
 * Uniform numbers are the leading p = 24 (float32) or 53 (float64) bits of a draw d, on [0, 1):
 *
 *     u(d) = floor(d / 2^(b - p)) / 2^p
 *
 * Normal numbers come in pairs (Box and Muller 1958): the features j, even, and j + 1, of draws d
 * and e, have
 *
 *     z_j = r cos(2 pi u(e)),  z_(j+1) = r sin(2 pi u(e)),  where r = sqrt(-2 log v(d))
 *
 * and v(d) = (d + 1/2) / 2^b, rounded once, lies on (0, 1]. It has all bits of the draw, so |z|
 * goes up to 6.76 (float32) and 9.49 (float64). The last of an odd number of features drops its
 * partner.
 *
 * Uniform numbers are bitwise equal at all SIMD levels, normal ones within the errors of
 * simd/math.h.
 */
#ifndef CF_SIMD_RANDOM_H
#define CF_SIMD_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "simd/simd.h"

/* Writes `features` rows of `lanes` reals, a multiple of 16: feature j of sample first_sample + r
 * goes to out[j * lanes + r]. Rows count modulo 2^64. Does not allocate. */
typedef void (*cf_random_kernel)(uint64_t seed, uint64_t first_sample, uint32_t stream,
                                 size_t features, size_t lanes, void *out);

extern const cf_random_kernel cf_random_uniform[CF_SIMD_LEVELS][CF_DTYPES];
extern const cf_random_kernel cf_random_normal[CF_SIMD_LEVELS][CF_DTYPES];

#endif
