/* Sine and cosine of turns. Included by simd/math.h. */

#ifndef CF_SIMD_MATH_TRIGONOMETRY
#define CF_SIMD_MATH_TRIGONOMETRY
#define v_bit CF_FN(cf_v_bit)
#define v_sincos_2pi CF_FN(cf_v_sincos_2pi)
#endif

/* Where the bit of i with the value 1 is set. */
CF_INLINE vmask v_bit(vint i) {
    return v_lt(v_set1(0), v_real((vint)((vuint)(i & 1) << V_SIGNIFICAND)));
}

/* x = j / 4 + f with |f| <= 1/8, which is exact; j mod 4 tells which of +-sin and +-cos of 2 pi f
 * is which. sin(2 pi f) = 25/4 f + f S(f^2) and cos(2 pi f) = 1 + f^2 C(f^2), with minimax
 * polynomials (Remez; relative errors 2^-33.8 and 2^-31.0 in f32, 2^-61.4 and 2^-60.6 in f64). */
CF_INLINE void v_sincos_2pi(vreal x, vreal *sine, vreal *cosine) {
#ifdef CF_REAL_F32
    static const real s[] = {0x1.0fdaa2p-5f, -0x1.4abbcep+5f, 0x1.466b8p+6f, -0x1.32b232p+6f,
                             0x1.458aap+5f};
    static const real c[] = {-0x1.3bd3ccp+4f, 0x1.03c1aep+6f, -0x1.55b132p+6f, 0x1.d46d86p+5f};
#else
    static const real s[] = {0x1.0fdaa22168c23p-5,  -0x1.4abbce625be51p+5, 0x1.466bc6775a789p+6,
                             -0x1.32d2cce5de8d4p+6, 0x1.5078341d4e03ap+5,  -0x1.e306b80fbaf8ap+3,
                             0x1.e887d6a9059fp+1,   -0x1.500c2c75d17e9p-1};
    static const real c[] = {-0x1.3bd3cc9be45dep+4, 0x1.03c1f081b5a39p+6,  -0x1.55d3c7e3bc17cp+6,
                             0x1.e1f5066eec628p+5,  -0x1.a6d1dc96769a5p+4, 0x1.f9c03bb2da9f5p+2,
                             -0x1.aedc4d888f7c3p+0};
#endif
    vreal shifted = v_fma(x, v_set1(4), v_set1(V_MAGIC));
    vreal f = v_fma(shifted - V_MAGIC, v_set1((real)-0.25), x), square = f * f;
    vreal sin_f = v_fma(f, v_set1((real)6.25), f * V_POLYNOMIAL(square, s));
    vreal cos_f = v_fma(square, V_POLYNOMIAL(square, c), v_set1(1));

    vint j = v_bits(shifted);
    vmask swap = v_bit(j);
    const int to_sign = (int)sizeof(real) * 8 - 2;
    vint sin_sign = (j & 2) << to_sign, cos_sign = ((j + 1) & 2) << to_sign;
    *sine = v_real(v_bits(v_select(swap, cos_f, sin_f)) ^ sin_sign);
    *cosine = v_real(v_bits(v_select(swap, sin_f, cos_f)) ^ cos_sign);
}
