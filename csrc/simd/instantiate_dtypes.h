/* One level's two versions of CF_BODY; included by simd/instantiate.h only. */
#define CF_DTYPE f32
#define CF_REAL_F32 1
#define real float
#include "simd/vector.h"
#include CF_BODY
#undef real
#undef CF_REAL_F32
#undef CF_DTYPE

#define CF_DTYPE f64
#define CF_REAL_F64 1
#define real double
#include "simd/vector.h"
#include CF_BODY
#undef real
#undef CF_REAL_F64
#undef CF_DTYPE
