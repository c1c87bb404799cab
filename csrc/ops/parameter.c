/* A tensor of the parameter slab: integer[0] is its offset. Nothing runs. */
#include "ops/ops.h"

static const cf_op parameter_op = {.name = "parameter", .flags = CF_OP_PARAMETER};

cf_value cf_parameter(cf_builder *b, size_t offset, size_t size) {
    if (offset > INT32_MAX || size > INT32_MAX - offset)
        return cf_builder_fail(b, CF_INVALID, "more than %d parameters", INT32_MAX);
    cf_attributes attributes = {.integer = {(int64_t)offset}};
    return cf_emit(b, &parameter_op, CF_SHARED, size, 0, NULL, CF_PARAMS(&attributes));
}
