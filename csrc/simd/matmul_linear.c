#ifndef CF_FN

#include "simd/matmul.h"

#define CF_BODY "simd/matmul_linear.c"
#include "simd/instantiate.h"

const cf_linear_kernel cf_linear[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(linear);

#else

#include "simd/matmul_linear.h"
#include "simd/matmul_panel.h"

PANEL_KERNEL(by_input, BLOCK_VECTORS, BY_INPUT)

static void CF_FN(linear)(const cf_linear_args *a) {
    if (a->one_sample && CF_FN(cf_linear_one_sample)(a))
        return;
    if (a->input_stride == 1)
        CF_FN(run_full_panels)(a, CF_FN(by_input));
    else
        CF_FN(cf_linear_by_output)(a);
#ifdef CF_ON_AVX512
    CF_FN(cf_linear_narrow)(a, a->lanes - a->lanes % (BLOCK_VECTORS * VL));
#endif
}

#endif
