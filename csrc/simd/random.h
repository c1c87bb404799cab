/* Rows of random numbers, feature-major, from Philox 4x32-10 (base/philox.h).
 *
 * Feature j of global row i is a function of (seed, i, stream, j) alone: not of how many lanes or features are drawn, nor
 * of the thread or tile. What follows is frozen by known-answer tests, as samples depend on it.
 *
 * Let w be the words of cf_philox(seed, i, stream, block). The draws of a block are
 *
 *     float32   4 of b = 32 bits:  w[0], w[1], w[2], w[3]                      of features 4 block + 0, … 3
 *     float64   2 of b = 64 bits:  w[0] + 2^32 w[1],  w[2] + 2^32 w[3]         of features 2 block + 0, 1
 *
 * Uniform numbers are a draw's leading p = 24 or 53 bits, on [0, 1): u(d) = floor(d / 2^(b - p)) / 2^p.
 *
 * Normal numbers come in pairs (Box and Muller 1958): features j, even, and j + 1 with draws d and e have
 *
 *     r = sqrt(-2 log v(d)),    z_j = r cos(2π u(e)),    z_(j+1) = r sin(2π u(e)),
 *
 * where v(d) = (d + 1/2) / 2^b, rounded once, lies on (0, 1]: it has all the draw's bits, so |z| goes up to 6.76 (float32)
 * and 9.49 (float64). The last feature of an odd number of them drops its partner.
 *
 * Uniform numbers are bitwise equal at all SIMD levels. So are normal ones at AVX2 and AVX-512; at the baseline, which has
 * no fused multiply-add, they differ by the rounding of log, sin and cos (simd/math.h).
 */
#ifndef CF_SIMD_RANDOM_H
#define CF_SIMD_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "simd/simd.h"

/* Writes `features` rows of `lanes` reals, a multiple of 16: feature j of global row first_row + r goes to
 * out[j * lanes + r]. Rows count modulo 2^64. Does not allocate. */
typedef void (*cf_random_kernel)(uint64_t seed, uint64_t first_row, uint32_t stream,
                                 size_t features, size_t lanes, void *out);

extern const cf_random_kernel cf_random_uniform[CF_SIMD_LEVELS][CF_DTYPES];
extern const cf_random_kernel cf_random_normal[CF_SIMD_LEVELS][CF_DTYPES];

#endif
