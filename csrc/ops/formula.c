#include "ops/formula.h"

/* The operands are copied, so that the formula's gradient stops at them: they may depend on each
 * other. */
void cf_formula_rule(cf_builder *b, const cf_node *node, cf_formula formula, cf_value dout,
                     const bool *needed, cf_value *dx) {
    cf_value operand[CF_MAX_OPERANDS], wrt[CF_MAX_OPERANDS], gradient[CF_MAX_OPERANDS];
    size_t count = 0;
    for (size_t i = 0; i < node->operands; i++) {
        operand[i] = cf_copy(b, node->operand[i]);
        if (needed[i])
            wrt[count++] = operand[i];
    }
    cf_value value = formula(b, node, operand);
    if (cf_builder_status(b) != CF_OK)
        return;
    cf_gradient(b, 1, &value, &dout, count, wrt, gradient);
    for (size_t i = node->operands; i-- > 0;)
        if (needed[i])
            dx[i] = gradient[--count];
}

/* A gradient, with zeros for CF_NO_VALUE. */
static cf_value or_zeros(cf_builder *b, cf_value gradient, cf_value of) {
    if (cf_builder_status(b) != CF_OK || !cf_is_none(gradient))
        return gradient;
    return cf_constant(b, CF_BATCHED, cf_value_size(b, of), 0.0);
}

/* x of y changes by -(the change of y at x) / (dy/dx), and with it the log_det, which is minus that
 * of the map at x. */
cf_value cf_map_gradient_formula(cf_builder *b, const cf_node *node, cf_map_formula formula,
                                 cf_value x, cf_value params, cf_value dout, bool inverse) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_value_size(b, x);
    cf_value outputs[2], cotangents[2], wrt[2] = {x, params}, gradient[2], of_log;
    outputs[0] = formula(b, node, x, params, &outputs[1]);
    cotangents[0] = cf_slice(b, dout, 0, features);
    cotangents[1] = cf_repeat(b, cf_slice(b, dout, features, 1), features);
    if (!inverse) {
        cf_gradient(b, 2, outputs, cotangents, 2, wrt, gradient);
        gradient[0] = or_zeros(b, gradient[0], x);
    } else {
        cf_gradient(b, 1, &outputs[1], &cotangents[1], 1, &x, &of_log);
        cf_value rest = cf_subtract(b, cotangents[0], or_zeros(b, of_log, x));
        gradient[0] = cf_divide(b, rest, cf_exp(b, outputs[1]));
        cotangents[0] = cf_scale_shift(b, gradient[0], -1.0, 0.0);
        cotangents[1] = cf_scale_shift(b, cotangents[1], -1.0, 0.0);
        cf_gradient(b, 2, outputs, cotangents, 1, &params, &gradient[1]);
    }
    gradient[1] = or_zeros(b, gradient[1], params);
    return cf_concat(b, gradient, 2);
}
