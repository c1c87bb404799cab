/* Philox 4x32-10, the counter-based generator of Salmon et al. 2011 (Random123).
 *
 * key = seed; counter = (row, 64 bits; stream, 32 bits; block, 32 bits). Nothing is kept between
 * calls, so a number depends only on (seed, row, stream, block): not on threads, chunks or order.
 *
 * Known-answer tests freeze which word goes where, since models and samples depend on it.
 * simd/random.h draws rows of features from the same generator.
 */
#ifndef CF_BASE_PHILOX_H
#define CF_BASE_PHILOX_H

#include <stdint.h>

/* Multipliers and key increments: Salmon et al. 2011, table 2 and section 3.2. */
enum { CF_PHILOX_ROUNDS = 10 };
#define CF_PHILOX_MULTIPLIER_0 0xD2511F53u
#define CF_PHILOX_MULTIPLIER_1 0xCD9E8D57u
#define CF_PHILOX_INCREMENT_0 0x9E3779B9u
#define CF_PHILOX_INCREMENT_1 0xBB67AE85u

/* Streams in use; programs number their own random ops from CF_STREAM_PROGRAM on. A stream is less
 * than 2^16. */
enum {
    CF_STREAM_INITIAL_WEIGHTS = 1, /* row = position in the tensor, block = number of the tensor */
    CF_STREAM_SHUFFLE = 2,         /* row = step of the shuffle, block = epoch */
    CF_STREAM_SPLIT = 3,           /* row = step of the shuffle */
    CF_STREAM_PERMUTATION = 4,     /* row = step of the shuffle, block = number of the layer */
    CF_STREAM_JITTER = 5,          /* row = running count of rows drawn in training */
    CF_STREAM_CONTEXT = 6,         /* row = running count of samples drawn for a target */
    CF_STREAM_START = 7,           /* row = position, block = number of the layer's first tensor */
    CF_STREAM_CLUSTERS = 8,        /* row = number of the cluster, block = trial */
    CF_STREAM_PROGRAM = 16,        /* of bases: row = number of the sample */
    CF_STREAM_LAYERS = 4096,       /* of layers: in training, row as for jitter */
    CF_STREAM_TO_DATA = 8192,      /* of layers on the way to the data: as of bases */
};

/* out = the four 32-bit words of one counter. The counter's words are (row low, row high, stream,
 * block) and the key's (seed low, seed high), in Random123's order. */
void cf_philox(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block, uint32_t out[4]);

/* A number uniform on [0, bound), without bias, from (seed, row, stream, block). bound >= 1.
 *
 * With w the block's words, the candidates are x = w[0] + 2^32 w[1], then w[2] + 2^32 w[3], then
 * the same two of streams stream + 2^16, stream + 2 2^16, … The first x with x bound mod 2^64 >=
 * 2^64 mod bound gives floor(x bound / 2^64) (Lemire 2019, "Fast random integer generation in an
 * interval"). */
uint64_t cf_philox_below(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block,
                         uint64_t bound);

/* A number uniform on [0, 1): the 53 leading bits of w[0] + 2^32 w[1]. */
double cf_philox_uniform(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block);

/* A Fisher-Yates shuffle of n indices in place. Step i = 0, 1, … n - 2 swaps indices[i] with
 * indices[i + j], j being cf_philox_below(seed, i, stream, block, n - i). */
void cf_philox_shuffle(int64_t *indices, int64_t n, uint64_t seed, uint32_t stream, uint32_t block);

#endif
