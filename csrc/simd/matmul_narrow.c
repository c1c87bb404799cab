/* The last lanes of cf_linear where a block has more than 16 of them. */
#ifndef CF_FN

#include "simd/matmul.h"

#define CF_BODY "simd/matmul_narrow.c"
#include "simd/instantiate.h"

#elif defined(CF_ON_AVX512)

#include "simd/matmul_linear.h"
#include "simd/matmul_panel.h"

PANEL_KERNEL(pair_by_input, 2, BY_INPUT)
PANEL_KERNEL(pair_by_output, 2, BY_OUTPUT)
#ifdef CF_REAL_F32 /* lanes are a multiple of 16, two vectors of float64 */
PANEL_KERNEL(single_by_input, 1, BY_INPUT)
PANEL_KERNEL(single_by_output, 1, BY_OUTPUT)
#endif

void CF_FN(cf_linear_narrow)(const cf_linear_args *a, size_t lane) {
    bool by_input = a->input_stride == 1;
    panel_kernel pair = by_input ? CF_FN(pair_by_input) : CF_FN(pair_by_output);
    for (; a->lanes - lane >= 2 * VL; lane += 2 * VL)
        CF_FN(run_panel)(a, pair, lane, 2 * VL);
#ifdef CF_REAL_F32
    if (lane < a->lanes)
        CF_FN(run_panel)
    (a, by_input ? CF_FN(single_by_input) : CF_FN(single_by_output), lane, VL);
#endif
}

#endif
