/* Logarithms. Included by simd/math.h.
 *
 * x = 2^e (1 + f) with 3/4 <= 1 + f < 3/2 gives log x = e ln 2 + log(1 + f); f is exact near x = 1,
 * where e = 0.
 */

#ifndef CF_SIMD_MATH_LOG
#define CF_SIMD_MATH_LOG
#define v_log_sum CF_FN(cf_v_log_sum)
#define v_binade CF_FN(cf_v_binade)
#define v_significand CF_FN(cf_v_significand)
#define v_log_limits CF_FN(cf_v_log_limits)
#define v_log CF_FN(cf_v_log)
#define v_log1p CF_FN(cf_v_log1p)
#endif

/* e ln 2 + log(1 + f) for -1/4 <= f <= 1/2, e ln 2 being given in two parts.
 *
 * log(1 + f) = f - f^2 / 2 + curve. In f32 the curve is f^3 times a minimax polynomial (Remez;
 * relative error of the logarithm 2^-29.9). In f64 that polynomial would be of degree 20, so that a
 * division pays: with s = f / (2 + f), curve = s (f^2 / 2 + s^2 R(s^2)), where R is the minimax
 * polynomial of (log((1 + s) / (1 - s)) - 2 s) / s^3 (error 2^-62.5). */
CF_INLINE vreal v_log_sum(vreal f, vreal e_ln2_high, vreal e_ln2_low) {
    vreal half_square = f * f * v_set1((real)0.5);
#ifdef CF_REAL_F32
    static const real c[] = {0x1.55555ap-2f,  -0x1.00007p-2f,  0x1.999752p-3f,
                             -0x1.55190cp-3f, 0x1.24658p-3f,   -0x1.04bc3p-3f,
                             0x1.df0deap-4f,  -0x1.743016p-4f, 0x1.324ee4p-5f};
    vreal curve = f * f * f * V_POLYNOMIAL(f, c);
#else
    static const real c[] = {0x1.5555555555552p-1, 0x1.999999999b5ffp-2, 0x1.2492492265c7p-2,
                             0x1.c71c7434f2d43p-3, 0x1.745c5c666152dp-3, 0x1.3b33da63339eep-3,
                             0x1.0de746dc1d1c5p-3, 0x1.1adc67a7de96bp-3};
    vreal s = f / (v_set1(2) + f), square = s * s;
    vreal curve = s * v_fma(square, V_POLYNOMIAL(square, c), half_square);
#endif
    return e_ln2_high + (f - (half_square - (curve + e_ln2_low)));
}

/* e plus bias of a normal number x > 0, in the position of a number's exponent: the exponent of x /
 * (3/4). */
CF_INLINE vuint v_binade(vreal x) {
    const vuint exponents = (vuint)v_bits(v_set1(V_INFINITY)), one = (vuint)v_bits(v_set1(1));
    return ((vuint)v_bits(x) - (vuint)v_bits(v_set1((real)0.75)) + one) & exponents;
}

/* 1 + f, and e, of x > 0. */
CF_INLINE vreal v_significand(vreal x, vreal *e) {
#if defined(CF_ON_AVX512) && defined(CF_REAL_F32)
    vreal significand = _mm512_getmant_ps(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
    *e = (vreal)_mm512_getexp_ps(x) - (vreal)_mm512_getexp_ps(significand);
    return significand;
#elif defined(CF_ON_AVX512)
    vreal significand = _mm512_getmant_pd(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
    *e = (vreal)_mm512_getexp_pd(x) - (vreal)_mm512_getexp_pd(significand);
    return significand;
#else
    /* A subnormal number is made a normal one first. */
    const vreal up = v_power_of_2(v_set1(V_SIGNIFICAND + 1));
    vmask subnormal = v_lt(x, v_power_of_2(v_set1(1 - V_EXPONENT_GREATEST)));
    vreal normal = v_select(subnormal, x * up, x);
    vuint binade = v_binade(normal);
    vreal bias = v_select(subnormal, v_set1(V_EXPONENT_GREATEST + V_SIGNIFICAND + 1),
                          v_set1(V_EXPONENT_GREATEST));
    *e = v_from_int((vint)(binade >> V_SIGNIFICAND)) - bias;
    return v_real((vint)((vuint)v_bits(normal) - binade + (vuint)v_bits(v_set1(1))));
#endif
}

/* The logarithm of x, given its value for finite x > 0. */
CF_INLINE vreal v_log_limits(vreal x, vreal logarithm) {
    vreal zero = v_set1(0);
    vreal limit = v_select(v_eq(x, zero), v_set1(-V_INFINITY), logarithm);
    limit = v_select(v_lt(x, zero), v_set1(V_NAN), limit);
    return v_select(v_lt(x, v_set1(V_INFINITY)), limit, x);
}

CF_INLINE vreal v_log(vreal x) {
    vreal e, f = v_significand(x, &e) - v_set1(1);
    return v_log_limits(x, v_log_sum(f, e * V_LN2_HIGH, e * V_LN2_LOW));
}

/* With e of 1 + x, rounded, 1 + f = (1 + x) / 2^e comes from x itself. The reciprocal of 2^e could
 * be subnormal, so that 4 / 2^e takes its place. */
CF_INLINE vreal v_log1p(vreal x) {
    vreal y = v_set1(1) + x, quarter = v_set1((real)0.25);
    vuint binade = v_binade(y);
    /* Exponents subtract, less one bias. */
    const vuint four = (vuint)v_bits(v_set1(4)), bias = (vuint)v_bits(v_set1(1));
    vreal scale = v_real((vint)(four - binade + bias));
    vreal f = v_fma(x * quarter, scale, v_fma(scale, quarter, v_set1(-1)));
    vreal e = v_from_int((vint)(binade >> V_SIGNIFICAND)) - v_set1(V_EXPONENT_GREATEST);
    vreal logarithm = v_log_limits(y, v_log_sum(f, e * V_LN2_HIGH, e * V_LN2_LOW));
    /* Here log(1 + x) = x, also for -0 and where x / 4 is subnormal. */
    vmask tiny = v_lt(v_abs(x), v_power_of_2(v_set1(-2 * V_SIGNIFICAND)));
    return v_select(tiny, x, logarithm);
}
