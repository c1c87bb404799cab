#ifndef CF_FN

#include "simd/matmul.h"

enum {
    ONE_SAMPLE_VECTORS = 4,
    ONE_SAMPLE_INPUTS = 4096, /* they are copied to the stack */
};

#define CF_BODY "simd/matmul_linear.c"
#include "simd/instantiate.h"

const cf_linear_kernel cf_linear[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(linear);

#else

#include "simd/matmul_panel.h"
#include "simd/transpose.h"

#include "simd/matmul_one_sample.h"

PANEL_KERNELS(full, BLOCK_VECTORS)

static void CF_FN(linear)(const cf_linear_args *a) {
    if (a->one_sample && CF_FN(one_sample)(a))
        return;
    panel_kernel full = a->input_stride == 1 ? CF_FN(full_by_input) : CF_FN(full_by_output);
    size_t lane = 0, width = BLOCK_VECTORS * VL;
    for (; a->lanes - lane >= width; lane += width)
        CF_FN(run_panel)(a, full, lane, width);
#ifdef CF_ON_AVX512
    CF_FN(cf_linear_narrow)(a, lane);
#endif
}

#endif
