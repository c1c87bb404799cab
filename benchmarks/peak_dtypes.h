/* The chains of one instruction set, for both types: one body included twice. */
#define real float
#include "peak_chains.h"
#undef real

#define real double
#include "peak_chains.h"
#undef real

#undef SIMD
#undef VECTOR_BYTES
#undef TARGET
