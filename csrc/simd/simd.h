/* Instruction sets, chosen at run time.
 *
 * A file with kernels includes itself through simd/instantiate.h once per (level, dtype); the six
 * versions land in a const table that is indexed by the level in use and the dtype of the program.
 */
#ifndef CF_SIMD_SIMD_H
#define CF_SIMD_SIMD_H

#include "base/status.h"
#include "cflows.h"

enum { CF_DTYPES = 2 }; /* of a cf_dtype */

typedef enum {
    CF_SIMD_BASE = 0, /* what the compiler's plain target has: SSE2 on x86-64, NEON on arm64 */
    CF_SIMD_AVX2 = 1, /* AVX2 and FMA */
    CF_SIMD_AVX512 = 2,
} cf_simd_level;

#if defined(__x86_64__) && defined(__GNUC__)
#define CF_SIMD_X86 1
enum { CF_SIMD_LEVELS = 3 };
#else
enum { CF_SIMD_LEVELS = 1 };
#endif

/* The level in use: the best that the processor and the operating system have, or what
 * CFLOWS_SIMD=base|avx2|avx512 asks for. Fixed at the first call. */
cf_simd_level cf_simd(void);

/* "base", "avx2" or "avx512". */
const char *cf_simd_name(cf_simd_level level);

static inline size_t cf_dtype_size(cf_dtype dtype) {
    return dtype == CF_FLOAT32 ? sizeof(float) : sizeof(double);
}

/* Number i of an array of that dtype. */
static inline double cf_number_at(const void *numbers, size_t i, cf_dtype dtype) {
    return dtype == CF_FLOAT32 ? (double)((const float *)numbers)[i] : ((const double *)numbers)[i];
}

/* A table of the versions of `name` that simd/instantiate.h made. */
#ifdef CF_SIMD_X86
#define CF_VERSIONS(name)                                                                          \
    {                                                                                              \
        {name##_base_f32, name##_base_f64}, {name##_avx2_f32, name##_avx2_f64}, {                  \
            name##_avx512_f32, name##_avx512_f64                                                   \
        }                                                                                          \
    }
#else
#define CF_VERSIONS(name)                                                                          \
    {                                                                                              \
        { name##_base_f32, name##_base_f64 }                                                       \
    }
#endif

#endif
