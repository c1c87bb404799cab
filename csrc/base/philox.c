#include "base/philox.h"

void cf_philox(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block, uint32_t out[4]) {
    uint32_t c[4] = {(uint32_t)row, (uint32_t)(row >> 32), stream, block};
    uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < CF_PHILOX_ROUNDS; round++) {
        uint64_t a = (uint64_t)CF_PHILOX_MULTIPLIER_0 * c[0];
        uint64_t b = (uint64_t)CF_PHILOX_MULTIPLIER_1 * c[2];
        c[0] = (uint32_t)(b >> 32) ^ c[1] ^ k[0];
        c[1] = (uint32_t)b;
        c[2] = (uint32_t)(a >> 32) ^ c[3] ^ k[1];
        c[3] = (uint32_t)a;
        k[0] += CF_PHILOX_INCREMENT_0;
        k[1] += CF_PHILOX_INCREMENT_1;
    }
    for (int i = 0; i < 4; i++)
        out[i] = c[i];
}

/* Candidate number i of a counter: two of them in each block of four words. */
static uint64_t candidate(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block,
                          uint32_t i) {
    uint32_t words[4];
    cf_philox(seed, row, stream + (i / 2 << 16), block, words);
    const uint32_t *pair = &words[i % 2 * 2];
    return pair[0] | (uint64_t)pair[1] << 32;
}

uint64_t cf_philox_below(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block,
                         uint64_t bound) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)candidate(seed, row, stream, block, 0) * bound;
    /* 2^64 mod bound is less than bound: only then is the division needed. */
    if ((uint64_t)product < bound) {
        uint64_t excess = -bound % bound;
        for (uint32_t i = 1; (uint64_t)product < excess; i++)
            product = (wide)candidate(seed, row, stream, block, i) * bound;
    }
    return (uint64_t)(product >> 64);
}

double cf_philox_uniform(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block) {
    return (double)(candidate(seed, row, stream, block, 0) >> 11) * 0x1p-53;
}

void cf_philox_shuffle(int64_t *indices, int64_t n, uint64_t seed, uint32_t stream,
                       uint32_t block) {
    for (int64_t i = 0; i + 1 < n; i++) {
        int64_t j =
            i + (int64_t)cf_philox_below(seed, (uint64_t)i, stream, block, (uint64_t)(n - i));
        int64_t held = indices[i];
        indices[i] = indices[j];
        indices[j] = held;
    }
}
