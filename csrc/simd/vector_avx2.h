/* simd/vector.h for AVX2 with FMA: masks are vectors of integers, all bits set or none. */

#undef MM
#ifdef CF_REAL_F32
#define MM(op) _mm256_##op##_ps
#else
#define MM(op) _mm256_##op##_pd
#endif

typedef vint vmask;

/* The lanes before n. The lane numbers are compared as integers of the lanes' own width. */
CF_INLINE __m256i CF_FN(cf_v_first_n)(size_t n) {
#ifdef CF_REAL_F32
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#else
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)n), _mm256_setr_epi64x(0, 1, 2, 3));
#endif
}

CF_INLINE vreal v_load(const real *p) {
    return MM(loadu)(p);
}

CF_INLINE void v_store(real *p, vreal a) {
    MM(storeu)(p, a);
}

CF_INLINE vreal v_load_n(const real *p, size_t n) {
    return MM(maskload)(p, CF_FN(cf_v_first_n)(n));
}

CF_INLINE void v_store_n(real *p, vreal a, size_t n) {
    MM(maskstore)(p, CF_FN(cf_v_first_n)(n), a);
}

CF_INLINE vreal v_fma(vreal a, vreal b, vreal c) {
    return MM(fmadd)(a, b, c);
}

CF_INLINE vmask v_lt(vreal a, vreal b) {
    return (vmask)(a < b);
}

CF_INLINE vmask v_le(vreal a, vreal b) {
    return (vmask)(a <= b);
}

CF_INLINE vmask v_eq(vreal a, vreal b) {
    return (vmask)(a == b);
}

CF_INLINE vreal v_select(vmask m, vreal a, vreal b) {
    return MM(blendv)(b, a, (vreal)m);
}

CF_INLINE vmask v_and(vmask m, vmask n) {
    return m & n;
}

CF_INLINE vmask v_or(vmask m, vmask n) {
    return m | n;
}

CF_INLINE vmask v_not(vmask m) {
    return ~m;
}

CF_INLINE bool v_any(vmask m) {
    return MM(movemask)((vreal)m) != 0;
}

CF_INLINE vreal v_min(vreal a, vreal b) {
    return MM(min)(a, b);
}

CF_INLINE vreal v_max(vreal a, vreal b) {
    return MM(max)(a, b);
}

CF_INLINE vreal v_abs(vreal a) {
    return MM(andnot)(v_set1((real)-0.0), a);
}

CF_INLINE vreal v_sqrt(vreal a) {
    return MM(sqrt)(a);
}

CF_INLINE vreal v_round(vreal a) {
    return MM(round)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

#ifdef CF_REAL_F32

CF_INLINE vint v_to_int(vreal a) {
    return (vint)_mm256_cvtps_epi32(a);
}

CF_INLINE vreal v_from_int(vint i) {
    return _mm256_cvtepi32_ps((__m256i)i);
}

CF_INLINE real v_sum(vreal a) {
    return v_sum_16_bytes(_mm256_castps256_ps128(a) + _mm256_extractf128_ps(a, 1));
}

#else

/* There is no conversion to 64-bit integers; V_MAGIC does it. */
CF_INLINE vint v_to_int(vreal a) {
    return v_bits(a + V_MAGIC) - v_bits(v_set1(V_MAGIC));
}

CF_INLINE vreal v_from_int(vint i) {
    return v_real(i + v_bits(v_set1(V_MAGIC))) - V_MAGIC;
}

CF_INLINE real v_sum(vreal a) {
    return v_sum_16_bytes(_mm256_castpd256_pd128(a) + _mm256_extractf128_pd(a, 1));
}

#endif
