/* Philox 4x32-10, the counter-based generator of Salmon et al. 2011 (Random123).
 *
 * key = seed; counter = (row, 64 bits; stream, 32 bits; block, 32 bits). Nothing is kept between
 * calls, so a number depends only on (seed, row, stream, block): not on threads, chunks or order.
 */
#ifndef CF_BASE_PHILOX_H
#define CF_BASE_PHILOX_H

#include <stdint.h>

/* Streams in use; programs number their own random ops from CF_STREAM_PROGRAM on. */
enum {
    CF_STREAM_INITIAL_WEIGHTS = 1, /* row = position in the tensor, block = number of the tensor */
    CF_STREAM_SHUFFLE = 2,         /* row = step of the shuffle, block = epoch */
    CF_STREAM_SPLIT = 3,           /* row = step of the shuffle */
    CF_STREAM_PERMUTATION = 4,     /* row = step of the shuffle, block = number of the layer */
    CF_STREAM_JITTER = 5,          /* row = running count of rows drawn in training */
    CF_STREAM_PROGRAM = 16,
};

/* out = the four 32-bit words of one counter. */
void cf_philox(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block, uint32_t out[4]);

/* A number uniform on [0, bound), without bias, from (seed, row, stream, block). bound >= 1. */
uint64_t cf_philox_below(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block,
                         uint64_t bound);

/* A number uniform on [0, 1), 53 bits. */
double cf_philox_uniform(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block);

/* A Fisher-Yates shuffle of n indices in place, its steps being the rows of (stream, block). */
void cf_philox_shuffle(int64_t *indices, int64_t n, uint64_t seed, uint32_t stream, uint32_t block);

#endif
