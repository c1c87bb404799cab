/* Elementary functions of a vreal, for the version being instantiated.
 *
 *   v_exp(x), v_expm1(x)           e^x, e^x - 1
 *   v_log(x), v_log1p(x)           natural logarithms of x and of 1 + x
 *   v_sigmoid(x)                   1 / (1 + e^-x)
 *   v_softplus(x)                  log(1 + e^x)
 *   v_tanh(x)
 *   v_erf(x)
 *   v_normal_cdf(x)                (1 + erf(x / sqrt 2)) / 2, accurate in the left tail
 *   v_normal_pdf(x)                exp(-x^2 / 2) / sqrt(2 pi)
 *   v_sincos_2pi(x, &s, &c)        sin and cos of 2 pi x, for |x| <= 2^20
 *
 * The error is at most 2 ulp everywhere, subnormal arguments and results included (of a subnormal
 * result: 2 times the smallest number). Limits are right: signed zeros, infinities, overflow to
 * infinity, gradual underflow; NaN where the argument is NaN or out of the domain. No function
 * branches or reads tables.
 *
 * Levels with fused multiply-add give the same bits, as all of them do the same operations; the
 * baseline without it may differ in the last place.
 */
#ifndef CF_SIMD_MATH
#define CF_SIMD_MATH

#include "simd/math_parts.h"

#include "simd/math_exp.h"
#include "simd/math_log.h"
#include "simd/math_logistic.h"
#include "simd/math_normal.h"
#include "simd/math_trigonometry.h"

#endif
