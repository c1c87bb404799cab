/* The system's headers that every kernel needs. A compiler takes longer for them than for most
 * kernels: setup.py has them precompiled. */
#ifndef CF_SIMD_INTRINSICS_H
#define CF_SIMD_INTRINSICS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#endif
