/* A tensor of the parameter slab. Nothing runs. It is one node of a program, however often it is
 * emitted: bodies of loops are emitted again to be differentiated. */
#include "ops/ops.h"

static const cf_op parameter_op = {
    .name = "parameter",
    .flags = CF_OP_PARAMETER,
    .params = sizeof(cf_parameter_params),
};

cf_value cf_parameter(cf_builder *b, size_t offset, size_t size) {
    if (offset > INT32_MAX || size > INT32_MAX - offset)
        return cf_builder_fail(b, CF_INVALID, "more than %d parameters", INT32_MAX);
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value emitted = cf_emitted_parameter(b, offset, size);
    if (!cf_is_none(emitted))
        return emitted;
    cf_parameter_params params = {offset};
    return cf_emit(b, &parameter_op, CF_UNBATCHED, size, 0, NULL, CF_PARAMS(&params));
}
