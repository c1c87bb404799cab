#ifndef CF_FN
#include "engine/reduce.h"

#define CF_BODY "engine/reduce.c"
#include "simd/instantiate.h"

const cf_reduce_kernel cf_reduce[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(reduce);

#else

static void CF_FN(reduce)(size_t n, size_t groups, size_t stride, const void *group, void *out) {
    const real *in = group;
    real *sum = out;
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        vreal s = v_load(sum + i);
        for (size_t g = 0; g < groups; g++)
            s = s + v_load(in + g * stride + i);
        v_store(sum + i, s);
    }
    for (; i < n; i++)
        for (size_t g = 0; g < groups; g++)
            sum[i] += in[g * stride + i];
}

#endif
