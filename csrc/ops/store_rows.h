/* Writing a tile of numbers of float64 to the caller's rows: rounded here, unless those are of
 * float64. */
#ifndef CF_FN

#ifndef CF_OPS_STORE_ROWS_H
#define CF_OPS_STORE_ROWS_H

#include "engine/run.h"

#endif

#else

/* Writes features [first, first + count), in `stage`, [count][CF_MAX_LANES]. */
static inline void CF_FN(store_rows)(const cf_call *call, const cf_result *result, size_t first,
                                     size_t count, const double *stage) {
    size_t begin = call->sample * result->row_stride + first;
    bool widened = result->as_double && sizeof(real) < sizeof(double);
    double *doubles = (double *)result->data + begin;
    real *reals = (real *)result->data + begin;
    for (size_t lane = 0; lane < call->samples; lane++) {
        size_t row = lane * result->row_stride;
        for (size_t i = 0; i < count; i++)
            if (widened)
                doubles[row + i] = stage[i * CF_MAX_LANES + lane];
            else
                reals[row + i] = (real)stage[i * CF_MAX_LANES + lane];
    }
}

#endif
