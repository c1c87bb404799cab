/* Numbers of the float64 buffers, as an unbatched value. */
#ifndef CF_FN

#include "ops/feature_rows.h"
#include "ops/special.h"

typedef struct {
    size_t offset;
} buffer_params;

#define CF_BODY "ops/buffer.c"
#include "simd/instantiate.h"

static const cf_op buffer_op = {
    .name = "buffer",
    .params = sizeof(buffer_params),
    .kernel = CF_VERSIONS(buffer),
};

cf_value cf_buffer(cf_builder *b, size_t offset, size_t size) {
    buffer_params params = {offset};
    return cf_emit(b, &buffer_op, CF_UNBATCHED, size, 0, NULL, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

static void CF_FN(buffer)(const cf_call *call) {
    const buffer_params *p = call->step->node->params;
    const double *numbers = call->run->buffers + p->offset;
    real *out = call->out;
    for (size_t i = 0; i < call->step->out_size; i++)
        out[i] = (real)numbers[i];
}

#endif
