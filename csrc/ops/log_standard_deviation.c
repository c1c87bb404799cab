/* Half the logarithm of a variance; 0, for a standard deviation of 1, where the only spread around
 * the mean is rounding. It has no gradient. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/log_standard_deviation.c"
#include "simd/instantiate.h"

static const cf_op log_standard_deviation_op = {
    .name = "log_standard_deviation",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(log_standard_deviation),
};

cf_value cf_log_standard_deviation(cf_builder *b, cf_value variance, cf_value mean) {
    return cf_binary_op(b, &log_standard_deviation_op, variance, mean);
}

#else

#include <float.h>

#include "ops/elementwise.h"

CF_INLINE vreal CF_FN(log_standard_deviation_of)(vreal variance, vreal mean) {
    double epsilon = sizeof(real) == sizeof(float) ? (double)FLT_EPSILON : DBL_EPSILON;
    vreal rounding = v_set1((real)(8.0 * epsilon)) * mean;
    vmask none = v_le(variance, rounding * rounding);
    return v_select(none, v_set1(0), v_set1((real)0.5) * v_log(variance));
}

CF_BINARY(log_standard_deviation, CF_FN(log_standard_deviation_of)(x, y))

#endif
