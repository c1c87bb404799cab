/* The error function and the normal distribution. Included by simd/math.h. */

#ifndef CF_SIMD_MATH_NORMAL
#define CF_SIMD_MATH_NORMAL
#define v_erf CF_FN(cf_v_erf)
#define v_normal_curve CF_FN(cf_v_normal_curve)
#define v_normal_tail CF_FN(cf_v_normal_tail)
#define v_normal_cdf CF_FN(cf_v_normal_cdf)
#define v_normal_pdf CF_FN(cf_v_normal_pdf)
#endif

/* Where erf is 1 after rounding, and where the density and the tail of the normal are 0. */
#undef V_ERF_GREATEST
#undef V_NORMAL_GREATEST
#ifdef CF_REAL_F32
#define V_ERF_GREATEST 3.93f
#define V_NORMAL_GREATEST 14.5f
#else
#define V_ERF_GREATEST 5.93
#define V_NORMAL_GREATEST 38.75
#endif

/* Up to |x| = 1, x + x P(x^2) with P the minimax polynomial of erf(x) / x - 1 (Remez; relative
 * error 2^-29.4 and 2^-56.2); beyond, 1 - exp(Q(|x|)) with Q that of log(1 - erf) (relative error
 * of erf 2^-35.2 and 2^-61.3). */
CF_INLINE vreal v_erf(vreal x) {
#ifdef CF_REAL_F32
    static const real p[] = {0x1.06eba8p-3f, -0x1.81273ep-2f,  0x1.ce2ce6p-4f, -0x1.b7f71ap-6f,
                             0x1.53f224p-8f, -0x1.a3515ep-11f, 0x1.4771fcp-14f};
    static const real q[] = {0x1.8b3be8p-13f, -0x1.212c2cp+0f, -0x1.4434f6p-1f, -0x1.bc188cp-4f,
                             0x1.9d0aeap-6f,  -0x1.13972cp-8f, 0x1.cee366p-12f, -0x1.6bf9a2p-16f};
#else
    static const real p[] = {0x1.06eba8214db69p-3,   -0x1.812746b037a2bp-2,  0x1.ce2f21a045e4bp-4,
                             -0x1.b82ce3137085bp-6,  0x1.565bcd30cb86fp-8,   -0x1.c02dba041af7fp-11,
                             0x1.f9a3d1b1364bep-14,  -0x1.f4dece2b9a9e5p-17, 0x1.ba8154a887cc4p-20,
                             -0x1.6460ee387e75fp-23, 0x1.178c3638c51acp-26,  -0x1.e04d8819d4108p-30,
                             0x1.613a873922b41p-33};
    static const real q[] = {-0x1.de264b78682c3p-26, -0x1.20dd70cb36439p+0,  -0x1.45f3272f012a7p-1,
                             -0x1.a4f301a10cf46p-4,  0x1.3964cc20971fcp-6,   0x1.a84ac835557bep-13,
                             -0x1.b716104873993p-10, 0x1.219a70b86796dp-11,  0x1.7114937a6ce7dp-16,
                             -0x1.d0a3e1ac5b31dp-14, 0x1.0f9e7d82a2868p-14,  -0x1.9757ac89a8d09p-16,
                             0x1.c742d058779e1p-18,  -0x1.8a815cceef1cdp-20, 0x1.0a6c9d018f5cp-22,
                             -0x1.1488a151679c5p-25, 0x1.ab271b3b4af89p-29,  -0x1.cee8c996f07cbp-33,
                             0x1.3a1eab397337ap-37,  -0x1.91a40f2a1f82ap-43};
#endif
    vreal a = v_min(v_set1(V_ERF_GREATEST), v_abs(x)), square = x * x;
    vreal near = v_fma(x, V_POLYNOMIAL(square, p), x);
    vreal y = V_POLYNOMIAL(a, q), k = v_exp_exponent(y), r = v_exp_remainder(y, k);
    vreal complement = (v_set1(1) + (r + v_expm1_curve(r))) * v_power_of_2(k);
    vreal far = v_with_sign(v_set1(1) - complement, x);
    return v_select(v_lt(a, v_set1(1)), near, far);
}

/* The logarithm of Mills' ratio at z >= 0, that of the normal tail to the density, times (z + 3/2)
 * / (c sqrt(2 pi)), c = 5/8: a polynomial P(q) of q = (z - 4) / (z + 4), minimax (Remez,
 * coefficients then rounded by search; error 2^-26.7 for z <= 14.25 and 2^-55.5 for z <= 38.6). It
 * is small and nearly linear, its slope being between -0.26 and -0.40. `reciprocal_4` is 1 / (z +
 * 4). */
CF_INLINE vreal v_normal_curve(vreal z, vreal reciprocal_4) {
#ifdef CF_REAL_F32
    static const real p[] = {-0x1.7b98a8p-3f,  -0x1.66b81ap-2f, 0x1.5dab22p-4f,  0x1.7a79e2p-6f,
                             -0x1.142c02p-5f,  0x1.ad9ce6p-7f,  0x1.581ce8p-11f, -0x1.2015e2p-9f,
                             -0x1.d331d6p-13f, 0x1.77b818p-11f};
#else
    static const real p[] = {-0x1.7b98a85973c4bp-3,  -0x1.66b81c532a9d8p-2,  0x1.5daab7db466c7p-4,
                             0x1.7a7f66cefd647p-6,   -0x1.141a372a91147p-5,  0x1.ad446fde9141p-7,
                             0x1.3844ce68dc3ffp-11,  -0x1.1d9f9f8a46a2bp-9,  -0x1.2aaa59f16f742p-15,
                             0x1.8f4bcb6e1ad44p-11,  -0x1.e4d5707539cd7p-13, -0x1.092048376c61fp-13,
                             0x1.27c94e078a49p-14,   0x1.d682bdd24714fp-16,  -0x1.a666902d4bcbp-16,
                             -0x1.653b9405b87efp-19, 0x1.a40f25ccd1321p-18,  0x1.6b5a01740a88p-26,
                             -0x1.a3b6897b0ab15p-20, 0x1.d342a28355a74p-23,  0x1.459b08a922df2p-22,
                             -0x1.197d614afe376p-24, -0x1.c025fd0e053ap-25,  0x1.80bf8366f984ep-27,
                             0x1.47743765a07b8p-28};
#endif
    const vreal four = v_set1(4);
    vreal d_4 = z + four, q_rough = (z - four) * reciprocal_4;
    vreal q = v_fma(v_residual(z - four, q_rough, d_4), reciprocal_4, q_rough);
    return V_POLYNOMIAL(q, p);
}

/* The probability of a standard normal number beyond z >= 0: c exp(-z^2 / 2 + P(q)) / (z + 3/2).
 * What rounding takes from q, z^2 / 2, c e^r and z + 3/2 is put back. */
CF_INLINE vreal v_normal_tail(vreal z) {
    const vreal half = v_set1((real)0.5), three_halves = v_set1((real)1.5), four = v_set1(4);
    const vreal c = v_set1((real)0.625);
    /* One division for both denominators. */
    vreal d = z + three_halves, d_4 = z + four, inverse = v_set1(1) / (d * d_4);
    vreal reciprocal = inverse * d_4, reciprocal_4 = inverse * d;
    vreal h = v_normal_curve(z, reciprocal_4);

    vreal half_z = z * half, y = z * half_z;
    vreal k = v_exp_exponent(h - y);
    vreal y_rest = v_fma(k, v_set1(-V_LN2_LOW), v_residual(y, z, half_z));
    vreal r = v_fma(k, v_set1(-V_LN2_HIGH), -y) + (h + y_rest);
    vreal e = r + v_expm1_curve(r);

    vreal n = v_fma(c, e, c), n_rest = v_residual(c - n, -c, e);
    vreal d_excess = (d - three_halves) - z, tail = n * reciprocal;
    vreal rest = v_fma(tail, d_excess, v_residual(n, tail, d)) + n_rest;
    return v_ldexp(v_fma(rest, reciprocal, tail), k);
}

CF_INLINE vreal v_normal_cdf(vreal x) {
    vreal tail = v_normal_tail(v_min(v_set1(V_NORMAL_GREATEST), v_abs(x)));
    return v_select(v_lt(x, v_set1(0)), tail, v_set1(1) - tail);
}

CF_INLINE vreal v_normal_pdf(vreal x) {
    vreal z = v_min(v_set1(V_NORMAL_GREATEST), v_abs(x));
    vreal half_z = z * v_set1((real)0.5), y = z * half_z;
    vreal k = v_exp_exponent(-y);
    vreal r = v_exp_remainder(-y, k) + v_residual(y, z, half_z);
    vreal c = v_set1((real)0.3989422804014327);
    return v_ldexp(v_fma(c, r + v_expm1_curve(r), c), k);
}
