/* x itself, without a cotangent: for values whose gradient is stated otherwise. */
#ifndef CF_FN

#include "ops/elementwise.h"

#define CF_BODY "ops/detach.c"
#include "simd/instantiate.h"

static const cf_op detach_op = {
    .name = "detach",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(detach),
    .gradient = cf_zero_gradient,
};

cf_value cf_detach(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &detach_op, x);
}

#else

#include "ops/elementwise.h"

CF_UNARY(detach, x)

#endif
