/* Transposition in registers, by parts of 16 bytes: PART reals each, PARTS of them in a vector.
 * Included by instantiated bodies. */
#undef PART
#undef PARTS
#undef part_vector
#define PART (16 / (int)sizeof(real))
#define PARTS ((int)sizeof(vreal) / 16)

#define part_vector CF_FN(cf_part_vector)
typedef real part_vector __attribute__((vector_size(16)));

/* Part q is the PART reals at row[q * step] + at. */
CF_INLINE vreal CF_FN(load_parts)(const real *const *row, const int step, size_t at) {
#if defined(CF_ON_AVX512)
#define LOAD_PART(q) _mm_loadu_ps((const float *)(row[(q)*step] + at))
    /* Blends, for which there are two execution ports; insertions might share the one of the
     * shuffles. */
    __m512 a = _mm512_castps128_ps512(LOAD_PART(0));
    a = _mm512_mask_broadcast_f32x4(a, 0x00f0, LOAD_PART(1));
    a = _mm512_mask_broadcast_f32x4(a, 0x0f00, LOAD_PART(2));
    return (vreal)_mm512_mask_broadcast_f32x4(a, 0xf000, LOAD_PART(3));
#undef LOAD_PART
#elif defined(CF_ON_AVX2)
    __m256 a = _mm256_castps128_ps256(_mm_loadu_ps((const float *)(row[0] + at)));
    return (vreal)_mm256_insertf128_ps(a, _mm_loadu_ps((const float *)(row[step] + at)), 1);
#else
    (void)step;
    return v_load(row[0] + at);
#endif
}

/* Element j of part q of a[i] changes places with element i of part q of a[j]. */
CF_INLINE void CF_FN(transpose_parts)(vreal a[PART]) {
#if defined(CF_SIMD_X86)
    /* On integers, as more ports of the processor shuffle those. */
#if defined(CF_ON_AVX512)
#define UNPACK(ends, a, b) _mm512_unpack##ends((__m512i)(a), (__m512i)(b))
#elif defined(CF_ON_AVX2)
#define UNPACK(ends, a, b) _mm256_unpack##ends((__m256i)(a), (__m256i)(b))
#else
#define UNPACK(ends, a, b) _mm_unpack##ends((__m128i)(a), (__m128i)(b))
#endif
#ifdef CF_REAL_F32
    vint b[PART] = {(vint)UNPACK(lo_epi32, a[0], a[1]), (vint)UNPACK(hi_epi32, a[0], a[1]),
                    (vint)UNPACK(lo_epi32, a[2], a[3]), (vint)UNPACK(hi_epi32, a[2], a[3])};
    a[0] = (vreal)UNPACK(lo_epi64, b[0], b[2]);
    a[1] = (vreal)UNPACK(hi_epi64, b[0], b[2]);
    a[2] = (vreal)UNPACK(lo_epi64, b[1], b[3]);
    a[3] = (vreal)UNPACK(hi_epi64, b[1], b[3]);
#else
    vreal b[PART] = {a[0], a[1]};
    a[0] = (vreal)UNPACK(lo_epi64, b[0], b[1]);
    a[1] = (vreal)UNPACK(hi_epi64, b[0], b[1]);
#endif
#undef UNPACK
#else
    vreal b[PART];
    memcpy(b, a, sizeof b);
    for (int i = 0; i < PART; i++)
        for (int j = 0; j < PART; j++)
            a[i][j] = b[j][i];
#endif
}

/* out[r * step + q] = row[q][r] for q < VL and r < count, a multiple of PART. */
CF_INLINE void CF_FN(transpose_rows)(const real *const *row, size_t count, real *out, size_t step) {
    for (size_t r = 0; r < count; r += PART) {
        vreal v[PART];
#pragma GCC unroll 4
        for (int i = 0; i < PART; i++)
            v[i] = CF_FN(load_parts)(row + i, PART, r);
        CF_FN(transpose_parts)(v);
#pragma GCC unroll 4
        for (int i = 0; i < PART; i++)
            v_store(out + (r + (size_t)i) * step, v[i]);
    }
}
