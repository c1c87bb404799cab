/* What ops that are not elementwise need to find their feature rows. */
#ifndef CF_FN

#ifndef CF_OPS_FEATURE_ROWS_H
#define CF_OPS_FEATURE_ROWS_H

#include "engine/run.h"
#include "ops/ops.h"

/* A kernel table whose entries are one function, for kernels that only call other tables. */
#ifdef CF_SIMD_X86
#define CF_ONE_VERSION(f)                                                                          \
    {                                                                                              \
        {f, f}, {f, f}, {                                                                          \
            f, f                                                                                   \
        }                                                                                          \
    }
#else
#define CF_ONE_VERSION(f)                                                                          \
    {                                                                                              \
        { f, f }                                                                                   \
    }
#endif

/* n of a matrix of n^2 numbers; if there is none, the next whose square is larger. */
static inline size_t cf_order_of_square(size_t size) {
    size_t n = 0;
    while (n * n < size)
        n++;
    return n;
}

#endif

#else

/* Feature f of operand i: `lanes` contiguous reals. */
static inline const real *CF_FN(feature_row_of)(const cf_call *call, size_t i, size_t f) {
    const uint32_t *rows = call->step->operand[i].feature_rows;
    return (const real *)cf_operand_base(call, i) + (rows != NULL ? rows[f] : f) * call->lanes;
}
#undef cf_feature_row
#define cf_feature_row CF_FN(feature_row_of)

/* Loads and stores at `lane` of a feature row of `lanes`: whole vectors, or what is left of them
 * (unbatched values have one lane). */
static inline vreal CF_FN(load_lanes)(const real *row, size_t lane, size_t lanes) {
    return lanes - lane >= VL ? v_load(row + lane) : v_load_n(row + lane, lanes - lane);
}

static inline void CF_FN(store_lanes)(real *row, vreal x, size_t lane, size_t lanes) {
    if (lanes - lane >= VL)
        v_store(row + lane, x);
    else
        v_store_n(row + lane, x, lanes - lane);
}
#undef cf_load_lanes
#undef cf_store_lanes
#define cf_load_lanes CF_FN(load_lanes)
#define cf_store_lanes CF_FN(store_lanes)

#endif
