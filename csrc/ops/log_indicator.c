/* 0 where x lies between a feature's ends, -inf outside, NaN for NaN: the logarithm of an
 * indicator. The ends are float64 buffers, and are rounded to the number's type: what has been
 * rounded to an end is inside. The gradient is 0. */
#ifndef CF_FN

#include "ops/feature_rows.h"

typedef struct {
    size_t low, high; /* offsets of the buffers */
} log_inside_params;

#define CF_BODY "ops/log_indicator.c"
#include "simd/instantiate.h"

static const cf_op log_indicator_op = {
    .name = "log_indicator",
    .params = sizeof(log_inside_params),
    .kernel = CF_VERSIONS(log_indicator),
    .gradient = cf_zero_gradient,
};

cf_value cf_log_indicator(cf_builder *b, cf_value x, size_t low, size_t high) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    log_inside_params params = {low, high};
    return cf_emit(b, &log_indicator_op, CF_BATCHED, cf_value_size(b, x), 1, &x,
                   CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

static void CF_FN(log_indicator)(const cf_call *call) {
    const cf_node *node = call->step->node;
    const log_inside_params *p = node->params;
    const double *lows = call->run->buffers + p->low, *highs = call->run->buffers + p->high;
    real *out = call->out;
    for (size_t f = 0; f < node->size; f++, out += call->lanes) {
        const real *x = cf_feature_row(call, 0, f), low = (real)lows[f], high = (real)highs[f];
        for (size_t lane = 0; lane < call->lanes; lane++) {
            bool outside = x[lane] < low || high < x[lane];
            out[lane] = outside ? (real)-INFINITY : x[lane] - x[lane]; /* 0 or NaN */
        }
    }
}

#endif
