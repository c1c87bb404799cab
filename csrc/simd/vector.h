/* One vector of `real` and what can be done with it, for the version being instantiated. No include guard: simd/instantiate.h
 * includes it once per (level, dtype). The vector types are the compilers' own, so + - * / & and so on work on them;
 * named here is what needs an instruction of its own.
 *
 *   vreal, vint, vuint   a vector of reals, and of signed and unsigned integers of the same width
 *   vmask                what comparisons give
 *   VL                   the number of lanes
 *
 *   v_load(p), v_store(p, a)            any alignment
 *   v_load_n(p, n), v_store_n(p, a, n)  the first n lanes, 0 <= n < VL; the others read as 0 and are not written;
 *                                       memory past p[n - 1] is not touched
 *   v_set1(s)                           all lanes s
 *   v_fma(a, b, c)                      a b + c: fused where the level has it (avx2, avx512, NEON), else two roundings
 *   v_lt, v_le, v_eq (a, b)             vmask, false where either is NaN
 *   v_select(m, a, b)                   a where m, else b
 *   v_and(m, n), v_or(m, n), v_not(m)   on masks
 *   v_any(m)                            whether any lane is set
 *   v_min(a, b), v_max(a, b)            b where either is NaN (as the x86 instruction)
 *   v_abs(a), v_sqrt(a), v_round(a)     round to nearest even
 *   v_bits(a), v_real(i)                the same bits as vint / vreal
 *   v_to_int(a)                         nearest integer, |a| < 2^31 (f32: 2^31, f64: 2^51)
 *   v_from_int(i)                       the same range
 *   v_sum(a)                            the sum of the lanes, in a fixed order
 */
