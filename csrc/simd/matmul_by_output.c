/* The panels of cf_linear whose weights are contiguous in the outputs. */
#ifndef CF_FN

#include "simd/matmul.h"

#define CF_BODY "simd/matmul_by_output.c"
#include "simd/instantiate.h"

#else

#include "simd/matmul_linear.h"
#include "simd/matmul_panel.h"

PANEL_KERNEL(by_output, BLOCK_VECTORS, BY_OUTPUT)

void CF_FN(cf_linear_by_output)(const cf_linear_args *a) {
    CF_FN(run_full_panels)(a, CF_FN(by_output));
}

#endif
