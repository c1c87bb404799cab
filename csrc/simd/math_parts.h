/* What the elementary functions are made of. Included by simd/math.h. */

#ifndef CF_SIMD_MATH_PARTS
#define CF_SIMD_MATH_PARTS
#define v_horner CF_FN(cf_v_horner)
#define v_polynomial CF_FN(cf_v_polynomial)
#define v_residual CF_FN(cf_v_residual)
#define v_with_sign CF_FN(cf_v_with_sign)
#define v_ldexp CF_FN(cf_v_ldexp)
#define v_power_of_2 CF_FN(cf_v_power_of_2)

/* The polynomial whose coefficients the array `c` lists in ascending order. */
#define V_POLYNOMIAL(x, c) v_polynomial(x, c, (int)(sizeof(c) / sizeof *(c)))
#endif

/* Bits of the stored significand; the greatest exponent; ln 2 in two parts, of which the first
 * times any exponent is exact. */
#undef V_SIGNIFICAND
#undef V_EXPONENT_GREATEST
#undef V_LN2_HIGH
#undef V_LN2_LOW
#undef V_INFINITY
#undef V_NAN
#ifdef CF_REAL_F32
#define V_SIGNIFICAND 23
#define V_EXPONENT_GREATEST 127
#define V_LN2_HIGH 0x1.62e4p-1f
#define V_LN2_LOW 0x1.7f7d1cp-20f
#define V_INFINITY HUGE_VALF
#else
#define V_SIGNIFICAND 52
#define V_EXPONENT_GREATEST 1023
#define V_LN2_HIGH 0x1.62e42fefa3p-1
#define V_LN2_LOW 0x1.3de6af278ece6p-42
#define V_INFINITY HUGE_VAL
#endif
#define V_NAN ((real)NAN)

/* c[0] + c[1] y + ... by Horner's rule, with every `stride`th of n coefficients. */
CF_INLINE vreal v_horner(vreal y, const real *c, int n, int stride) {
    int last = (n - 1) / stride * stride;
    vreal sum = v_set1(c[last]);
#pragma GCC unroll 32
    for (int i = last - stride; i >= 0; i -= stride)
        sum = v_fma(sum, y, v_set1(c[i]));
    return sum;
}

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1); a long one as E(x^2) + x O(x^2), two chains that the
 * processor can overlap. */
CF_INLINE vreal v_polynomial(vreal x, const real *c, int n) {
    if (n <= 8)
        return v_horner(x, c, n, 1);
    return v_fma(v_horner(x * x, c + 1, n - 1, 2), x, v_horner(x * x, c, n, 2));
}

/* n - q d for q near n / d, with a relative error no larger than a rounding's. */
CF_INLINE vreal v_residual(vreal n, vreal q, vreal d) {
#if defined(CF_ON_BASE) && !defined(__aarch64__)
    /* Dekker 1971: the products of halves are exact. */
    const vint upper_half = ~(vint){0} << (V_SIGNIFICAND + 2) / 2;
    vreal q_high = v_real(v_bits(q) & upper_half), q_low = q - q_high;
    vreal d_high = v_real(v_bits(d) & upper_half), d_low = d - d_high;
    return (((n - q_high * d_high) - q_high * d_low) - q_low * d_high) - q_low * d_low;
#else
    return v_fma(-q, d, n);
#endif
}

/* a, which is zero or has the sign of s, with the sign of s. */
CF_INLINE vreal v_with_sign(vreal a, vreal s) {
    return v_real(v_bits(a) | (v_bits(s) & v_bits(v_set1((real)-0.0))));
}

/* a 2^k for integers k, rounded once, where 2^(k / 2) is a normal number. */
CF_INLINE vreal v_ldexp(vreal a, vreal k) {
#if defined(CF_ON_AVX512) && defined(CF_REAL_F32)
    return _mm512_scalef_ps(a, k);
#elif defined(CF_ON_AVX512)
    return _mm512_scalef_pd(a, k);
#else
    /* In two steps, of which the first is exact. */
    vint both = v_bits(k + V_MAGIC), one = v_bits(v_set1(1));
    vint half = v_bits(v_fma(k, v_set1((real)0.5), v_set1(V_MAGIC)));
    return a * v_real((half << V_SIGNIFICAND) + one) *
           v_real(((both - half) << V_SIGNIFICAND) + one);
#endif
}

/* 2^k for integers k, where it is a normal number. */
CF_INLINE vreal v_power_of_2(vreal k) {
#if defined(CF_ON_AVX512)
    return v_ldexp(v_set1(1), k);
#else
    return v_real((v_bits(k + V_MAGIC) << V_SIGNIFICAND) + v_bits(v_set1(1)));
#endif
}
