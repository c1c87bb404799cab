/* The logistic function, its integral and tanh: quotients of e^x. Included by simd/math.h. */

#ifndef CF_SIMD_MATH_LOGISTIC
#define CF_SIMD_MATH_LOGISTIC
#define v_exp_minus_abs CF_FN(cf_v_exp_minus_abs)
#define v_quotient CF_FN(cf_v_quotient)
#define v_sigmoid CF_FN(cf_v_sigmoid)
#define v_softplus CF_FN(cf_v_softplus)
#define v_tanh CF_FN(cf_v_tanh)
#endif

/* Where tanh is 1 after rounding. */
#undef V_TANH_GREATEST
#ifdef CF_REAL_F32
#define V_TANH_GREATEST 10
#else
#define V_TANH_GREATEST 20
#endif

/* e^-|x|, which does not overflow. */
CF_INLINE vreal v_exp_minus_abs(vreal x) {
    vreal y = v_max(v_set1(V_EXP_MIN), -v_abs(x));
    vreal k = v_exp_exponent(y), r = v_exp_remainder(y, k);
    return v_ldexp(v_set1(1) + (r + v_expm1_curve(r)), k);
}

/* n / (d - excess), rounded nearly once; reciprocal is that of d, and excess what its rounding
 * added to d. */
CF_INLINE vreal v_quotient(vreal n, vreal d, vreal excess, vreal reciprocal) {
    vreal q = n * reciprocal;
    return v_fma(v_fma(q, excess, v_residual(n, q, d)), reciprocal, q);
}

/* t / (1 + t) where x < 0, else 1 / (1 + t), with t = e^-|x|. */
CF_INLINE vreal v_sigmoid(vreal x) {
    vreal one = v_set1(1), t = v_exp_minus_abs(x);
    vreal d = one + t, excess = (d - one) - t;
    return v_quotient(v_select(v_lt(x, v_set1(0)), t, one), d, excess, one / d);
}

/* max(x, 0) + log(1 + t), with t = e^-|x| and so 1 <= 1 + t <= 2. */
CF_INLINE vreal v_softplus(vreal x) {
    vreal zero = v_set1(0), one = v_set1(1), half = v_set1((real)0.5), t = v_exp_minus_abs(x);
    vmask halve = v_le(half, t);
    vreal f = v_select(halve, (t - one) * half, t);
    vreal ln2_high = v_select(halve, v_set1(V_LN2_HIGH), zero);
    vreal ln2_low = v_select(halve, v_set1(V_LN2_LOW), zero);
    return v_max(zero, x) + v_log_sum(f, ln2_high, ln2_low);
}

/* m / (m + 2) with m = e^(2|x|) - 1, and the sign of x. */
CF_INLINE vreal v_tanh(vreal x) {
    vreal low, two = v_set1(2), y = v_min(v_set1(2 * V_TANH_GREATEST), v_abs(x) + v_abs(x));
    vreal k = v_exp_exponent(y);
    vreal high = v_expm1_parts(v_exp_remainder(y, k), v_power_of_2(k), &low);
    vreal n = high + low, d = n + two, excess = (d - two) - n;
    return v_with_sign(v_quotient(n, d, excess, v_set1(1) / d), x);
}
