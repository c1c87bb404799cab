#include "ops/elementwise.h"

/* x with `size` features, batched if `batched`. */
static cf_value bring_to(cf_builder *b, cf_value x, size_t size, bool batched) {
    if (batched && cf_value_kind(b, x) == CF_UNBATCHED)
        x = cf_broadcast(b, x);
    if (cf_builder_status(b) == CF_OK && cf_value_size(b, x) == 1 && size != 1)
        x = cf_repeat(b, x, size);
    return x;
}

cf_value cf_elementwise_op(cf_builder *b, const cf_op *op, size_t operands, const cf_value *operand,
                           cf_params params) {
    cf_value brought[CF_MAX_OPERANDS];
    size_t size = 1;
    bool batched = false;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    for (size_t i = 0; i < operands; i++) {
        if (cf_is_none(operand[i]))
            return cf_builder_fail(b, CF_INVALID, "%s: operand %zu is missing", op->name, i);
        batched |= cf_value_kind(b, operand[i]) == CF_BATCHED;
        if (cf_value_size(b, operand[i]) != 1)
            size = cf_value_size(b, operand[i]);
    }
    for (size_t i = 0; i < operands; i++) {
        brought[i] = bring_to(b, operand[i], size, batched);
        if (cf_builder_status(b) == CF_OK && cf_value_size(b, brought[i]) != size)
            return cf_builder_fail(b, CF_INVALID, "%s: %zu features beside %zu", op->name,
                                   cf_value_size(b, brought[i]), size);
    }
    return cf_emit(b, op, batched ? CF_BATCHED : CF_UNBATCHED, size, operands, brought, params);
}

cf_value cf_derivative(cf_builder *b, cf_value y, cf_value x) {
    cf_value slope = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value one = cf_constant(b, CF_BATCHED, cf_value_size(b, y), 1.0);
    cf_gradient(b, 1, &y, &one, 1, &x, &slope);
    if (cf_is_none(slope)) /* a constant */
        slope = cf_constant(b, CF_BATCHED, cf_value_size(b, x), 0.0);
    return slope;
}
