/* A tensor of the parameter slab. Nothing runs. */
#include "ops/ops.h"

static const cf_op parameter_op = {
    .name = "parameter",
    .flags = CF_OP_PARAMETER,
    .params = sizeof(cf_parameter_params),
};

cf_value cf_parameter(cf_builder *b, size_t offset, size_t size) {
    if (offset > INT32_MAX || size > INT32_MAX - offset)
        return cf_builder_fail(b, CF_INVALID, "more than %d parameters", INT32_MAX);
    cf_parameter_params params = {offset};
    return cf_emit(b, &parameter_op, CF_UNBATCHED, size, 0, NULL, CF_PARAMS(&params));
}
