/* Derivatives of fixed maps, each times a factor: what the gradients of value and log_det are made
 * of. A map to the data whose values are given a cotangent by the caller reads it from the caller's
 * array: in the units of the data it may be beyond the dtype of the run. */
#ifndef CF_FN

#include <float.h>
#include <math.h>

#include "ops/feature_rows.h"
#include "ops/fixed_map_ops.h"
#include "ops/input.h"

typedef struct {
    cf_map_params of;
    cf_map_order order;
    int cotangent; /* the slot of the factor; -1: it is operand 0 */
} derivative_params;

#define CF_BODY "ops/fixed_map_derivative.c"
#include "simd/instantiate.h"

static void derivative_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx);
static void cotangent_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx);

static const cf_op derivative_op = {
    .name = "fixed map derivative",
    .params = sizeof(derivative_params),
    .kernel = CF_VERSIONS(derivative),
    .gradient = derivative_rule,
};

static const cf_op input_derivative_op = {
    .name = "input of a fixed map derivative",
    .flags = CF_MAP_BESIDE_INPUT,
    .params = sizeof(derivative_params),
    .kernel = CF_VERSIONS(derivative),
    .gradient = derivative_rule,
};

/* The factor is the last operand here, and stands there for the gradient alone. */
static const cf_op cotangent_derivative_op = {
    .name = "cotangent of a fixed map",
    .flags = CF_OP_LANES_DIFFER | CF_OP_LAST_UNREAD,
    .params = sizeof(derivative_params),
    .kernel = CF_VERSIONS(derivative),
    .gradient = cotangent_rule,
};

/* Of a map whose operands, x the last, are given. */
static cf_value emit(cf_builder *b, const cf_map_params *of, const cf_value *operand, size_t count,
                     cf_value factor, cf_map_order order) {
    derivative_params params = {.of = *of, .order = order, .cotangent = -1};
    cf_value operands[CF_MAX_OPERANDS] = {factor};
    memcpy(operands + 1, operand, count * sizeof *operand);
    return cf_emit(b, of->slot < 0 ? &derivative_op : &input_derivative_op, CF_BATCHED,
                   of->map.features, 1 + count, operands, CF_PARAMS(&params));
}

/* Of operand `factor` times a derivative of a map, whose own operands are `count` from `first` on.
 */
static void differentiate(cf_builder *b, const cf_node *node, size_t factor, size_t first,
                          cf_value dout, const bool *needed, cf_value *dx) {
    const derivative_params *p = node->params;
    const cf_value *operand = node->operand + first;
    size_t count = node->operands - 1, x = first + count - 1;
    if (needed[factor])
        dx[factor] = emit(b, &p->of, operand, count, dout, p->order);
    if (!needed[x] || p->of.constant_slopes)
        return;
    if (p->order == CF_MAP_SLOPE_3 || p->order == CF_MAP_LOG_SLOPE_2)
        cf_builder_fail(b, CF_INVALID, "a fixed map can be differentiated three times");
    else
        dx[x] = emit(b, &p->of, operand, count, cf_multiply(b, node->operand[factor], dout),
                     (cf_map_order)(p->order + 1));
}

static void derivative_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                            const bool *needed, cf_value *dx) {
    (void)out;
    differentiate(b, node, 0, 1, dout, needed, dx);
}

static void cotangent_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                           const bool *needed, cf_value *dx) {
    (void)out;
    differentiate(b, node, node->operands - 1, 0, dout, needed, dx);
}

cf_value cf_fixed_map_derivative(cf_builder *b, const cf_node *node, cf_value factor,
                                 cf_map_order order) {
    const cf_map_params *of = node->params;
    int cotangent = of->to_base || order != CF_MAP_SLOPE ? -1 : cf_cotangent_slot(b, factor);
    derivative_params params = {.of = *of, .order = order, .cotangent = cotangent};
    cf_value operands[CF_MAX_OPERANDS];
    if (cotangent < 0)
        return emit(b, of, node->operand, node->operands, factor, order);
    memcpy(operands, node->operand, sizeof operands);
    operands[node->operands] = factor;
    return cf_emit(b, &cotangent_derivative_op, CF_BATCHED, of->map.features, node->operands + 1,
                   operands, CF_PARAMS(&params));
}

const cf_node *cf_fixed_map_input_derivative(const cf_builder *b, cf_value value,
                                             cf_map_order *order) {
    const cf_node *node = cf_whole_node(b, value);
    if (node == NULL || node->op != &input_derivative_op)
        return NULL;
    *order = ((const derivative_params *)node->params)->order;
    return node;
}

#else

#include "ops/fixed_map_ops.h"

/* The caller's cotangents of feature f, zeros beyond the last sample. They are rounded to the dtype
 * of the run, as all inputs are, but for those that it does not hold. */
static void CF_FN(read_cotangents)(const cf_call *call, cf_row_reader *r, size_t f, double *out) {
    const double *given = cf_row_reader_next(r, f);
    for (size_t lane = 0; lane < call->lanes; lane++) {
        double rounded = (real)given[lane], error = fabs(rounded - given[lane]);
        out[lane] = error <= FLT_EPSILON * fabs(given[lane]) ? rounded : given[lane];
    }
    memset(out + call->samples, 0, (call->lanes - call->samples) * sizeof *out);
}

static void CF_FN(derivative)(const cf_call *call) {
    const derivative_params *p = call->step->node->params;
    bool from_caller = p->cotangent >= 0;
    double factor[CF_MAX_LANES], room[CF_MAX_LANES];
    real *out = call->out;
    cf_row_reader cotangents;
    map_reader r;
    cf_mapped m;
    if (from_caller)
        cf_row_reader_begin(&cotangents, call, p->cotangent, p->of.map.features);
    CF_FN(map_begin)(&r, call, from_caller ? 0 : 1, false, true);
    for (size_t f = 0; f < call->step->node->size; f++, out += call->lanes) {
        if (from_caller)
            CF_FN(read_cotangents)(call, &cotangents, f, factor);
        else
            CF_FN(map_widen)(cf_feature_row(call, 0, f), call->lanes, factor);
        CF_FN(map_next_slopes)(&r, f, &m);
        const double *slope = CF_FN(map_derivative_of)(&m, call->lanes, p->order, room);
        for (size_t lane = 0; lane < call->lanes; lane++)
            out[lane] = (real)(factor[lane] * slope[lane]);
    }
}

#endif
