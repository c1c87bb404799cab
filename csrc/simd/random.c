#ifndef CF_FN

#include "simd/random.h"

/* Of Philox 4x32-10, as in base/philox.c, which takes one counter at a time. */
enum { PHILOX_ROUNDS = 10 };
#define PHILOX_MULTIPLIER_0 0xD2511F53u
#define PHILOX_MULTIPLIER_1 0xCD9E8D57u
#define PHILOX_INCREMENT_0 0x9E3779B9u
#define PHILOX_INCREMENT_1 0xBB67AE85u

#define CF_BODY "simd/random.c"
#include "simd/instantiate.h"

const cf_random_kernel cf_random_uniform[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(uniform);
const cf_random_kernel cf_random_normal[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(normal);

#else

#include "simd/math.h"

/* Lanes of 64 bits of which the lower 32 are a word of Philox; the upper 32 may hold anything, as a product of words needs
 * the lower halves only and leaves its own halves where they are wanted. */
typedef uint64_t CF_FN(wide_vector) __attribute__((vector_size(sizeof(vreal))));
#undef wide
#define wide CF_FN(wide_vector)

/* The 64-bit products of the lower halves. */
static inline wide CF_FN(multiply)(wide a, uint32_t b)
{
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

/* The words of one block for the rows in `row`. */
static inline void CF_FN(philox)(uint64_t seed, wide row, uint32_t stream, uint32_t block,
                                 wide c[4])
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    c[0] = row;
    c[1] = row >> 32;
    c[2] = (wide){0} + stream;
    c[3] = (wide){0} + block;
#pragma GCC unroll 10
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        wide a = CF_FN(multiply)(c[0], PHILOX_MULTIPLIER_0);
        wide b = CF_FN(multiply)(c[2], PHILOX_MULTIPLIER_1);
        c[0] = b >> 32 ^ c[1] ^ k0;
        c[1] = b;
        c[2] = a >> 32 ^ c[3] ^ k1;
        c[3] = a;
        k0 += PHILOX_INCREMENT_0;
        k1 += PHILOX_INCREMENT_1;
    }
}

#undef DRAWS
#undef DRAW_BITS
#undef UNIFORM_BITS
#if defined(CF_REAL_F32)
#define DRAWS 4
#define DRAW_BITS 32
#define UNIFORM_BITS 24
#else
#define DRAWS 2
#define DRAW_BITS 64
#define UNIFORM_BITS 53
#endif

/* The draws of one block, for rows first_row to first_row + VL - 1. */
static inline void CF_FN(draw_block)(uint64_t seed, uint64_t first_row, uint32_t stream,
                                     uint32_t block, vuint draw[DRAWS])
{
    enum { WIDE_LANES = sizeof(wide) / sizeof(uint64_t) };
    uint64_t step[WIDE_LANES];
    wide row;
    for (int i = 0; i < WIDE_LANES; i++)
        step[i] = (uint64_t)(DRAWS / 2 * i);
    memcpy(&row, step, sizeof row);
    row += first_row;
#if defined(CF_REAL_F32)
    /* Even and odd rows apart; their words make the halves of a lane. */
    wide even[4], odd[4];
    CF_FN(philox)(seed, row, stream, block, even);
    CF_FN(philox)(seed, row + 1, stream, block, odd);
    for (int i = 0; i < DRAWS; i++)
        draw[i] = (vuint)((even[i] & UINT32_MAX) | odd[i] << 32);
#else
    wide c[4];
    CF_FN(philox)(seed, row, stream, block, c);
    for (int i = 0; i < DRAWS; i++)
        draw[i] = (vuint)((c[2 * i] & UINT32_MAX) | c[2 * i + 1] << 32);
#endif
}

/* u and v of simd/random.h. The halves of a draw are converted one by one, as either is exact, and their sum is rounded
 * once, if at all. */
static inline vreal CF_FN(upper_half)(vuint draw)
{
    const real unit = (real)1 / ((uint64_t)1 << DRAW_BITS / 2);
    return v_from_int((vint)(draw >> DRAW_BITS / 2)) * v_set1(unit);
}

static inline vreal CF_FN(half_open)(vuint draw)
{
    const real unit = (real)1 / ((uint64_t)1 << UNIFORM_BITS);
    const vuint lower = draw & (((uint64_t)1 << DRAW_BITS / 2) - 1);
    return CF_FN(upper_half)(draw) +
           v_from_int((vint)(lower >> (DRAW_BITS - UNIFORM_BITS))) * v_set1(unit);
}

static inline vreal CF_FN(above_zero)(vuint draw)
{
    const real unit = (real)1 / ((uint64_t)1 << DRAW_BITS / 2);
    const vuint lower = draw & (((uint64_t)1 << DRAW_BITS / 2) - 1);
    return CF_FN(upper_half)(draw) +
           (v_from_int((vint)lower) + v_set1((real)0.5)) * v_set1(unit * unit);
}

static void CF_FN(uniform)(uint64_t seed, uint64_t first_row, uint32_t stream, size_t features,
                           size_t lanes, void *out)
{
    for (size_t lane = 0; lane < lanes; lane += VL)
        for (size_t first = 0; first < features; first += DRAWS) {
            real *to = (real *)out + first * lanes + lane;
            vuint draw[DRAWS];
            CF_FN(draw_block)(seed, first_row + lane, stream, (uint32_t)(first / DRAWS), draw);
            for (size_t i = 0; i < DRAWS && first + i < features; i++)
                v_store(to + i * lanes, CF_FN(half_open)(draw[i]));
        }
}

static void CF_FN(normal)(uint64_t seed, uint64_t first_row, uint32_t stream, size_t features,
                          size_t lanes, void *out)
{
    for (size_t lane = 0; lane < lanes; lane += VL)
        for (size_t first = 0; first < features; first += DRAWS) {
            real *to = (real *)out + first * lanes + lane;
            vuint draw[DRAWS];
            CF_FN(draw_block)(seed, first_row + lane, stream, (uint32_t)(first / DRAWS), draw);
            for (size_t i = 0; i < DRAWS && first + i < features; i += 2) {
                vreal sine, cosine;
                vreal log = v_log(CF_FN(above_zero)(draw[i]));
                vreal radius = v_sqrt(v_set1(-2) * log);
                v_sincos_2pi(CF_FN(half_open)(draw[i + 1]), &sine, &cosine);
                v_store(to + i * lanes, radius * cosine);
                if (first + i + 1 < features)
                    v_store(to + (i + 1) * lanes, radius * sine);
            }
        }
}

#endif
