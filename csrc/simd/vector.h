/* One vector of `real` and what can be done with it, for the version being instantiated. No include
 * guard: simd/instantiate.h includes it once per (level, dtype). The vector types are the
 * compilers' own, so + - * / & and so on work on them; named here is what needs an instruction of
 * its own.
 *
 *   vreal, vint, vuint   a vector of reals, and of signed and unsigned integers of the same width
 *   vmask                what comparisons give
 *   VL                   the number of lanes
 *
 *   v_load(p), v_store(p, a)            any alignment
 *   v_load_n(p, n), v_store_n(p, a, n)  the first n lanes, 0 <= n < VL; the others read as 0 and
 *                                       are not written; memory past p[n - 1] is not touched
 *   v_set1(s)                           all lanes s
 *   v_fma(a, b, c)                      a b + c: fused where the level has it (avx2, avx512, NEON),
 *                                       else two roundings
 *   v_lt, v_le, v_eq (a, b)             vmask, false where either is NaN
 *   v_select(m, a, b)                   a where m, else b
 *   v_and(m, n), v_or(m, n), v_not(m)   on masks
 *   v_any(m)                            whether any lane is set
 *   v_min(a, b), v_max(a, b)            b where either is NaN (as the x86 instruction)
 *   v_abs(a), v_sqrt(a), v_round(a)     round to nearest even
 *   v_bits(a), v_real(i)                the same bits as vint / vreal
 *   v_to_int(a)                         nearest integer, |a| < 2^31 (f32: 2^31, f64: 2^51)
 *   v_from_int(i)                       the same range
 *   v_sum(a)                            the sum of the lanes, in a fixed order: halves onto halves
 */

#ifndef CF_INLINE
#define CF_INLINE static inline __attribute__((always_inline))

/* Every version has its own names; these stand for those of the version in which they are used. */
#define vreal CF_FN(cf_vreal)
#define vint CF_FN(cf_vint)
#define vuint CF_FN(cf_vuint)
#define vmask CF_FN(cf_vmask)
#define v_load CF_FN(cf_v_load)
#define v_store CF_FN(cf_v_store)
#define v_load_n CF_FN(cf_v_load_n)
#define v_store_n CF_FN(cf_v_store_n)
#define v_set1 CF_FN(cf_v_set1)
#define v_fma CF_FN(cf_v_fma)
#define v_lt CF_FN(cf_v_lt)
#define v_le CF_FN(cf_v_le)
#define v_eq CF_FN(cf_v_eq)
#define v_select CF_FN(cf_v_select)
#define v_and CF_FN(cf_v_and)
#define v_or CF_FN(cf_v_or)
#define v_not CF_FN(cf_v_not)
#define v_any CF_FN(cf_v_any)
#define v_min CF_FN(cf_v_min)
#define v_max CF_FN(cf_v_max)
#define v_abs CF_FN(cf_v_abs)
#define v_sqrt CF_FN(cf_v_sqrt)
#define v_round CF_FN(cf_v_round)
#define v_bits CF_FN(cf_v_bits)
#define v_real CF_FN(cf_v_real)
#define v_to_int CF_FN(cf_v_to_int)
#define v_from_int CF_FN(cf_v_from_int)
#define v_sum CF_FN(cf_v_sum)
#define v_sum_16_bytes CF_FN(cf_v_sum_16_bytes)
#endif

/* simd/math.h may be included several times in one version, but once in each. */
#undef CF_SIMD_MATH

#undef V_BYTES
#if defined(CF_ON_AVX512)
#define V_BYTES 64
#elif defined(CF_ON_AVX2)
#define V_BYTES 32
#else
#define V_BYTES 16
#endif

/* V_MAGIC + a is V_MAGIC plus the integer nearest to a, which its low bits hold;
 * |a| < V_MAGIC / 3. */
#undef VL
#undef V_MAGIC
typedef real vreal __attribute__((vector_size(V_BYTES)));
typedef real CF_FN(cf_v_quarter) __attribute__((vector_size(16)));
#ifdef CF_REAL_F32
#define VL (V_BYTES / 4)
#define V_MAGIC 0x1.8p23f
typedef int32_t vint __attribute__((vector_size(V_BYTES)));
typedef uint32_t vuint __attribute__((vector_size(V_BYTES)));
#else
#define VL (V_BYTES / 8)
#define V_MAGIC 0x1.8p52
typedef int64_t vint __attribute__((vector_size(V_BYTES)));
typedef uint64_t vuint __attribute__((vector_size(V_BYTES)));
#endif

CF_INLINE vint v_bits(vreal a) {
    return (vint)a;
}

CF_INLINE vreal v_real(vint i) {
    return (vreal)i;
}

/* s - 0 is s for every s, -0 and NaN too; the compilers make a broadcast of it. */
CF_INLINE vreal v_set1(real s) {
    return s - (vreal){0};
}

/* The sum of 16 bytes of lanes. */
CF_INLINE real v_sum_16_bytes(CF_FN(cf_v_quarter) a) {
#ifdef CF_REAL_F32
    return (a[0] + a[2]) + (a[1] + a[3]);
#else
    return a[0] + a[1];
#endif
}

#if defined(CF_ON_AVX512)
#include "simd/vector_avx512.h"
#elif defined(CF_ON_AVX2)
#include "simd/vector_avx2.h"
#else
#include "simd/vector_base.h"
#endif
