/* simd/vector.h for AVX-512 (F, BW, DQ, VL): masks live in mask registers. */

#undef MM
#undef MM_COMPARE
#undef MM_FIRST_N
#ifdef CF_REAL_F32
#define MM(op) _mm512_##op##_ps
#define MM_COMPARE _mm512_cmp_ps_mask
typedef __mmask16 vmask;
#else
#define MM(op) _mm512_##op##_pd
#define MM_COMPARE _mm512_cmp_pd_mask
typedef __mmask8 vmask;
#endif

/* The mask of the first n lanes, n < VL. */
#define MM_FIRST_N(n) ((vmask)((1u << (n)) - 1u))

CF_INLINE vreal v_load(const real *p) {
    return MM(loadu)(p);
}

CF_INLINE void v_store(real *p, vreal a) {
    MM(storeu)(p, a);
}

CF_INLINE vreal v_load_n(const real *p, size_t n) {
    return MM(maskz_loadu)(MM_FIRST_N(n), p);
}

CF_INLINE void v_store_n(real *p, vreal a, size_t n) {
    MM(mask_storeu)(p, MM_FIRST_N(n), a);
}

CF_INLINE vreal v_fma(vreal a, vreal b, vreal c) {
    return MM(fmadd)(a, b, c);
}

CF_INLINE vmask v_lt(vreal a, vreal b) {
    return MM_COMPARE(a, b, _CMP_LT_OQ);
}

CF_INLINE vmask v_le(vreal a, vreal b) {
    return MM_COMPARE(a, b, _CMP_LE_OQ);
}

CF_INLINE vmask v_eq(vreal a, vreal b) {
    return MM_COMPARE(a, b, _CMP_EQ_OQ);
}

CF_INLINE vreal v_select(vmask m, vreal a, vreal b) {
    return MM(mask_mov)(b, m, a);
}

CF_INLINE vmask v_and(vmask m, vmask n) {
    return (vmask)(m & n);
}

CF_INLINE vmask v_or(vmask m, vmask n) {
    return (vmask)(m | n);
}

CF_INLINE vmask v_not(vmask m) {
    return (vmask)~m;
}

CF_INLINE bool v_any(vmask m) {
    return m != 0;
}

CF_INLINE vreal v_min(vreal a, vreal b) {
    return MM(min)(a, b);
}

CF_INLINE vreal v_max(vreal a, vreal b) {
    return MM(max)(a, b);
}

CF_INLINE vreal v_abs(vreal a) {
    return MM(abs)(a);
}

CF_INLINE vreal v_sqrt(vreal a) {
    return MM(sqrt)(a);
}

CF_INLINE vreal v_round(vreal a) {
    return MM(roundscale)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

#ifdef CF_REAL_F32

CF_INLINE vint v_to_int(vreal a) {
    return (vint)_mm512_cvtps_epi32(a);
}

CF_INLINE vreal v_from_int(vint i) {
    return _mm512_cvtepi32_ps((__m512i)i);
}

CF_INLINE real v_sum(vreal a) {
    __m256 half = _mm512_castps512_ps256(a) + _mm512_extractf32x8_ps(a, 1);
    return v_sum_16_bytes(_mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1));
}

#else

CF_INLINE vint v_to_int(vreal a) {
    return (vint)_mm512_cvtpd_epi64(a);
}

CF_INLINE vreal v_from_int(vint i) {
    return _mm512_cvtepi64_pd((__m512i)i);
}

CF_INLINE real v_sum(vreal a) {
    __m256d half = _mm512_castpd512_pd256(a) + _mm512_extractf64x4_pd(a, 1);
    return v_sum_16_bytes(_mm256_castpd256_pd128(half) + _mm256_extractf128_pd(half, 1));
}

#endif
