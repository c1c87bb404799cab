/* e^x and its kin. Included by simd/math.h.
 *
 * x = k ln 2 + r with an integer k and |r| <= ln(2) / 2 gives e^x = 2^k e^r (Cody and Waite 1980).
 */

#ifndef CF_SIMD_MATH_EXP
#define CF_SIMD_MATH_EXP
#define v_exp_exponent CF_FN(cf_v_exp_exponent)
#define v_exp_remainder CF_FN(cf_v_exp_remainder)
#define v_expm1_curve CF_FN(cf_v_expm1_curve)
#define v_expm1_parts CF_FN(cf_v_expm1_parts)
#define v_exp CF_FN(cf_v_exp)
#define v_expm1 CF_FN(cf_v_expm1)
#endif

/* Limits beyond which e^x is 0 or infinity, and e^x - 1 is -1, after rounding. */
#undef V_EXP_MIN
#undef V_EXP_MAX
#undef V_EXPM1_MIN
#ifdef CF_REAL_F32
#define V_EXP_MIN -104
#define V_EXP_MAX 89
#define V_EXPM1_MIN -18
#else
#define V_EXP_MIN -746
#define V_EXP_MAX 710
#define V_EXPM1_MIN -38
#endif

/* k: the integer nearest to x / ln 2. */
CF_INLINE vreal v_exp_exponent(vreal x) {
    return v_fma(x, v_set1((real)1.4426950408889634), v_set1(V_MAGIC)) - V_MAGIC;
}

/* r = x - k ln 2. */
CF_INLINE vreal v_exp_remainder(vreal x, vreal k) {
    return v_fma(k, v_set1(-V_LN2_LOW), v_fma(k, v_set1(-V_LN2_HIGH), x));
}

/* e^r - 1 - r for |r| <= 0.3473: r^2 times a minimax polynomial (Remez), with a relative error of
 * e^r - 1 of 2^-27.9 (f32) and 2^-59.7 (f64). */
CF_INLINE vreal v_expm1_curve(vreal r) {
#ifdef CF_REAL_F32
    static const real c[] = {0x1p-1f,        0x1.55552cp-3f,  0x1.5554f4p-5f,
                             0x1.114924p-7f, 0x1.6d479ep-10f, 0x1.5d1fbep-13f};
#else
    static const real c[] = {0x1p-1,
                             0x1.5555555555558p-3,
                             0x1.5555555555534p-5,
                             0x1.111111110fd14p-7,
                             0x1.6c16c16c2ec5ep-10,
                             0x1.a01a01ad14b6p-13,
                             0x1.a01a01047fa08p-16,
                             0x1.71ddff58bd449p-19,
                             0x1.27e6730253b69p-22,
                             0x1.af534a40cdc5fp-26,
                             0x1.1cbf5113614a7p-29};
#endif
    return r * r * V_POLYNOMIAL(r, c);
}

CF_INLINE vreal v_exp(vreal x) {
    x = v_min(v_set1(V_EXP_MAX), v_max(v_set1(V_EXP_MIN), x));
    vreal k = v_exp_exponent(x), r = v_exp_remainder(x, k);
    return v_ldexp(v_set1(1) + (r + v_expm1_curve(r)), k);
}

/* scale e^r - 1 = high + low, where `high` alone would lose what it cancels. */
CF_INLINE vreal v_expm1_parts(vreal r, vreal scale, vreal *low) {
    vreal scale_minus_1 = scale - v_set1(1);
    vreal high = v_fma(scale, r, scale_minus_1);
    vreal rounding = v_fma(scale, r, scale_minus_1 - high);
    *low = v_fma(scale, v_expm1_curve(r), rounding);
    return high;
}

CF_INLINE vreal v_expm1(vreal x) {
    vreal low, bounded = v_min(v_set1(V_EXP_MAX), v_max(v_set1(V_EXPM1_MIN), x));
    vreal k = v_exp_exponent(bounded);
    /* 2^(greatest + 1) is no number, so its last doubling, by 1 + 1, comes at the end. */
    vreal exponent = v_min(v_set1(V_EXPONENT_GREATEST), k);
    vreal r = v_exp_remainder(bounded, k);
    vreal high = v_expm1_parts(r, v_power_of_2(exponent), &low);
    return v_with_sign((high + low) * (v_set1(1) + (k - exponent)), x);
}
