/* Includes the file named by CF_BODY once per (level, dtype).
 *
 * Inside the body: `real` is the dtype, CF_FN(name) the version's own name, CF_REAL_F32 or
 * CF_REAL_F64 and one of CF_ON_BASE, CF_ON_AVX2, CF_ON_AVX512 are defined, and everything of
 * simd/vector.h is at hand. A file with kernels reads
 *
 *     #ifndef CF_FN
 *     #define CF_BODY "ops/scale_shift.c"
 *     #include "simd/instantiate.h"
 *     ... the op's table, built with CF_VERSIONS(kernel), and its gradient rule
 *     #else
 *     static void CF_FN(kernel)(...) { ... }
 *     #endif
 */
#include "simd/intrinsics.h"
#include "simd/simd.h"

#define CF_CONCAT_(a, b, c) a##_##b##_##c
#define CF_CONCAT(a, b, c) CF_CONCAT_(a, b, c)
#define CF_FN(name) CF_CONCAT(name, CF_LEVEL, CF_DTYPE)

#define CF_LEVEL base
#define CF_ON_BASE 1
#include "simd/instantiate_dtypes.h"
#undef CF_ON_BASE
#undef CF_LEVEL

#ifdef CF_SIMD_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define CF_LEVEL avx2
#define CF_ON_AVX2 1
#include "simd/instantiate_dtypes.h"
#undef CF_ON_AVX2
#undef CF_LEVEL
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#endif
#define CF_LEVEL avx512
#define CF_ON_AVX512 1
#include "simd/instantiate_dtypes.h"
#undef CF_ON_AVX512
#undef CF_LEVEL
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

#undef CF_FN
#undef CF_BODY
