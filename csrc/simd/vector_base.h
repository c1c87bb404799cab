/* simd/vector.h for 16 bytes, which every 64-bit processor has: the compilers' vector extensions
 * alone, but for what x86-64 (SSE2) and arm64 (NEON) do in one instruction. */

typedef vint vmask;

#undef V_SIGN_BIT
#define V_SIGN_BIT v_bits(v_set1((real)-0.0))

CF_INLINE vreal v_load(const real *p) {
    vreal a;
    memcpy(&a, p, sizeof a);
    return a;
}

CF_INLINE void v_store(real *p, vreal a) {
    memcpy(p, &a, sizeof a);
}

CF_INLINE vreal v_load_n(const real *p, size_t n) {
    real lanes[VL] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return v_load(lanes);
}

CF_INLINE void v_store_n(real *p, vreal a, size_t n) {
    real lanes[VL];
    v_store(lanes, a);
    for (size_t i = 0; i < n; i++)
        p[i] = lanes[i];
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
    return v_real((m & v_bits(a)) | (~m & v_bits(b)));
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

CF_INLINE vreal v_abs(vreal a) {
    return v_real(v_bits(a) & ~V_SIGN_BIT);
}

#if defined(CF_SIMD_X86)

#undef MM
#ifdef CF_REAL_F32
#define MM(op) _mm_##op##_ps
#else
#define MM(op) _mm_##op##_pd
#endif

CF_INLINE vreal v_fma(vreal a, vreal b, vreal c) {
    return a * b + c;
}

CF_INLINE bool v_any(vmask m) {
    return MM(movemask)(v_real(m)) != 0;
}

CF_INLINE vreal v_min(vreal a, vreal b) {
    return MM(min)(a, b);
}

CF_INLINE vreal v_max(vreal a, vreal b) {
    return MM(max)(a, b);
}

CF_INLINE vreal v_sqrt(vreal a) {
    return MM(sqrt)(a);
}

#else

CF_INLINE vreal v_fma(vreal a, vreal b, vreal c) {
#if defined(__aarch64__) && defined(CF_REAL_F32)
    return (vreal)vfmaq_f32(c, a, b);
#elif defined(__aarch64__)
    return (vreal)vfmaq_f64(c, a, b);
#else
    return a * b + c;
#endif
}

CF_INLINE bool v_any(vmask m) {
    bool any = false;
    for (int i = 0; i < VL; i++)
        any |= m[i] != 0;
    return any;
}

CF_INLINE vreal v_min(vreal a, vreal b) {
    return v_select(v_lt(a, b), a, b);
}

CF_INLINE vreal v_max(vreal a, vreal b) {
    return v_select(v_lt(b, a), a, b);
}

CF_INLINE vreal v_sqrt(vreal a) {
    for (int i = 0; i < VL; i++)
        a[i] = (real)sqrt(a[i]);
    return a;
}

#endif

/* |a| + 2^23 (2^52) has no bits below the point; from there on every number is an integer. */
CF_INLINE vreal v_round(vreal a) {
    vreal limit = v_set1(V_MAGIC / (real)1.5), magnitude = v_abs(a);
    vreal rounded = v_select(v_lt(magnitude, limit), (magnitude + limit) - limit, magnitude);
    return v_real(v_bits(rounded) | (v_bits(a) & V_SIGN_BIT));
}

#ifdef CF_REAL_F32

CF_INLINE vint v_to_int(vreal a) {
#if defined(CF_SIMD_X86)
    return (vint)_mm_cvtps_epi32(a);
#else
    return __builtin_convertvector(v_round(a), vint);
#endif
}

CF_INLINE vreal v_from_int(vint i) {
    return __builtin_convertvector(i, vreal);
}

#else

/* SSE2 has no conversion to 64-bit integers; V_MAGIC does it. */
CF_INLINE vint v_to_int(vreal a) {
    return v_bits(a + V_MAGIC) - v_bits(v_set1(V_MAGIC));
}

CF_INLINE vreal v_from_int(vint i) {
    return v_real(i + v_bits(v_set1(V_MAGIC))) - V_MAGIC;
}

#endif

CF_INLINE real v_sum(vreal a) {
    return v_sum_16_bytes(a);
}
