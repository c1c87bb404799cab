#include "ops/ops.h"

cf_value cf_contiguous(cf_builder *b, cf_value x) {
    size_t count;
    if (cf_builder_status(b) != CF_OK || cf_value_kind(b, x) == CF_BATCHED)
        return x;
    const cf_segment *segment = cf_segments(b, x, &count);
    bool contiguous = count == 1 && (segment->stride == 1 || segment->count == 1);
    return contiguous ? x : cf_copy(b, x);
}
