#ifndef CF_FN

#include "simd/random.h"

#include "base/philox.h"

#define wide CF_FN(cf_wide)

#define CF_BODY "simd/random.c"
#include "simd/instantiate.h"

const cf_random_kernel cf_random_uniform[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(uniform);
const cf_random_kernel cf_random_normal[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(normal);

#else

#include "simd/math.h"

/* Lanes of 64 bits of which the lower 32 are a word of Philox; the upper 32 may hold anything, as a
 * product of words needs the lower halves only and leaves its own halves where they are wanted. */
typedef uint64_t wide __attribute__((vector_size(sizeof(vreal))));

/* The 64-bit products of the lower halves. */
CF_INLINE wide CF_FN(multiply)(wide a, uint32_t b) {
    wide c = (wide){0} + b;
#if defined(CF_ON_AVX512)
    return (wide)_mm512_mul_epu32((__m512i)a, (__m512i)c);
#elif defined(CF_ON_AVX2)
    return (wide)_mm256_mul_epu32((__m256i)a, (__m256i)c);
#elif defined(CF_SIMD_X86)
    return (wide)_mm_mul_epu32((__m128i)a, (__m128i)c);
#elif defined(__aarch64__)
    return (wide)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)c));
#else
    return (a & UINT32_MAX) * c;
#endif
}

/* The upper halves in the lower ones. By AVX-512 a shuffle, because the processor's unit that
 * shifts such vectors is the one that multiplies, and the bottleneck. */
CF_INLINE wide CF_FN(upper_words)(wide a) {
#if defined(CF_ON_AVX512)
    return (wide)_mm512_shuffle_epi32((__m512i)a, _MM_PERM_DDBB);
#else
    return a >> 32;
#endif
}

CF_INLINE void CF_FN(philox_round)(wide c[4], uint32_t k0, uint32_t k1) {
    wide a = CF_FN(multiply)(c[0], CF_PHILOX_MULTIPLIER_0);
    wide b = CF_FN(multiply)(c[2], CF_PHILOX_MULTIPLIER_1);
    c[0] = CF_FN(upper_words)(b) ^ c[1] ^ k0;
    c[1] = b;
    c[2] = CF_FN(upper_words)(a) ^ c[3] ^ k1;
    c[3] = a;
}

/* The words of one block for two vectors of rows, which come in c[0] and d[0]; side by side,
 * because each multiplication waits for the one before. */
CF_INLINE void CF_FN(philox)(uint64_t seed, uint32_t stream, uint32_t block, wide c[4], wide d[4]) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    c[1] = CF_FN(upper_words)(c[0]);
    d[1] = CF_FN(upper_words)(d[0]);
    c[2] = d[2] = (wide){0} + stream;
    c[3] = d[3] = (wide){0} + block;
#pragma GCC unroll 10
    for (int round = 0; round < CF_PHILOX_ROUNDS; round++) {
        CF_FN(philox_round)(c, k0, k1);
        CF_FN(philox_round)(d, k0, k1);
        k0 += CF_PHILOX_INCREMENT_0;
        k1 += CF_PHILOX_INCREMENT_1;
    }
}

/* A block makes DRAWS draws for each of ROWS rows, in VECTORS vectors. */
#undef DRAWS
#undef VECTORS
#undef ROWS
#undef DRAW_BITS
#if defined(CF_REAL_F32)
#define DRAWS 4
#define VECTORS 1
#define DRAW_BITS 32
#else
#define DRAWS 2
#define VECTORS 2
#define DRAW_BITS 64
#endif
#define ROWS (VECTORS * VL)

/* first, first + step, first + 2 step, … */
CF_INLINE wide CF_FN(count)(uint64_t first, uint64_t step) {
    uint64_t number[VL * sizeof(real) / sizeof(uint64_t)];
    wide result;
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        number[i] = i * step;
    memcpy(&result, number, sizeof result);
    return result + first;
}

CF_INLINE void CF_FN(draw_block)(uint64_t seed, uint64_t row, uint32_t stream, uint32_t block,
                                 vuint draw[DRAWS][VECTORS]) {
#if defined(CF_REAL_F32)
    /* Even and odd rows, whose words then make the lower and upper halves of a lane. */
    wide c[4] = {CF_FN(count)(row, 2)}, d[4] = {CF_FN(count)(row + 1, 2)};
    CF_FN(philox)(seed, stream, block, c, d);
    for (int k = 0; k < DRAWS; k++)
        draw[k][0] = (vuint)((c[k] & UINT32_MAX) | d[k] << 32);
#else
    wide c[4] = {CF_FN(count)(row, 1)}, d[4] = {CF_FN(count)(row + VL, 1)};
    CF_FN(philox)(seed, stream, block, c, d);
    for (int k = 0; k < DRAWS; k++) {
        draw[k][0] = (c[2 * k] & UINT32_MAX) | c[2 * k + 1] << 32;
        draw[k][1] = (d[2 * k] & UINT32_MAX) | d[2 * k + 1] << 32;
    }
#endif
}

/* A draw's halves, by themselves exact. */
CF_INLINE vreal CF_FN(upper_half)(vuint draw) {
    return v_from_int((vint)(draw >> DRAW_BITS / 2));
}

CF_INLINE vuint CF_FN(lower_half)(vuint draw) {
    return draw & (((uint64_t)1 << DRAW_BITS / 2) - 1);
}

/* u of simd/random.h, exactly. */
CF_INLINE vreal CF_FN(half_open)(vuint draw) {
#if defined(CF_REAL_F32)
    return v_from_int((vint)(draw >> 8)) * v_set1(0x1p-24f);
#else
    vreal lower = v_from_int((vint)(CF_FN(lower_half)(draw) >> 11));
    return CF_FN(upper_half)(draw) * v_set1(0x1p-32) + lower * v_set1(0x1p-53);
#endif
}

/* v of simd/random.h: the sum's rounding is the only one. */
CF_INLINE vreal CF_FN(above_zero)(vuint draw) {
    const real unit = (real)1 / ((uint64_t)1 << DRAW_BITS / 2);
    vreal lower = v_from_int((vint)CF_FN(lower_half)(draw)) + v_set1((real)0.5);
    return CF_FN(upper_half)(draw) * v_set1(unit) + lower * v_set1(unit * unit);
}

static void CF_FN(uniform)(uint64_t seed, uint64_t first_sample, uint32_t stream, size_t features,
                           size_t lanes, void *out) {
    for (size_t lane = 0; lane < lanes; lane += ROWS)
        for (size_t first = 0; first < features; first += DRAWS) {
            real *to = (real *)out + first * lanes + lane;
            vuint draw[DRAWS][VECTORS];
            CF_FN(draw_block)(seed, first_sample + lane, stream, (uint32_t)(first / DRAWS), draw);
            for (size_t k = 0; k < DRAWS && first + k < features; k++)
                for (size_t v = 0; v < VECTORS; v++)
                    v_store(to + k * lanes + v * VL, CF_FN(half_open)(draw[k][v]));
        }
}

static void CF_FN(normal)(uint64_t seed, uint64_t first_sample, uint32_t stream, size_t features,
                          size_t lanes, void *out) {
    for (size_t lane = 0; lane < lanes; lane += ROWS)
        for (size_t first = 0; first < features; first += DRAWS) {
            real *to = (real *)out + first * lanes + lane;
            vuint draw[DRAWS][VECTORS];
            CF_FN(draw_block)(seed, first_sample + lane, stream, (uint32_t)(first / DRAWS), draw);
            for (size_t k = 0; k < DRAWS && first + k < features; k += 2)
                for (size_t v = 0; v < VECTORS; v++) {
                    vreal sine, cosine;
                    vreal log = v_log(CF_FN(above_zero)(draw[k][v]));
                    vreal radius = v_sqrt(v_set1(-2) * log);
                    v_sincos_2pi(CF_FN(half_open)(draw[k + 1][v]), &sine, &cosine);
                    v_store(to + k * lanes + v * VL, radius * cosine);
                    if (first + k + 1 < features)
                        v_store(to + (k + 1) * lanes + v * VL, radius * sine);
                }
        }
}

#endif
