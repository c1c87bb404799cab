/* The splines, a line each: how they are emitted, and their gradients. */
#include "ops/splines.h"

#include "ops/formula.h"

static size_t rational_quadratic_param_count(const cf_spline *spline) {
    size_t bins = (size_t)spline->bins;
    size_t slopes = spline->tails == CF_TAILS_LINEAR     ? bins - 1
                    : spline->tails == CF_TAILS_CIRCULAR ? bins
                                                         : bins + 1;
    return 2 * bins + slopes;
}

static size_t linear_param_count(const cf_spline *spline) {
    return (size_t)spline->bins;
}

static size_t quadratic_param_count(const cf_spline *spline) {
    size_t bins = (size_t)spline->bins;
    return spline->tails == CF_TAILS_FREE ? 2 * bins + 1 : 2 * bins - 1;
}

static size_t cubic_param_count(const cf_spline *spline) {
    return 2 * (size_t)spline->bins + 2;
}

typedef struct {
    const cf_op *op, *gradient;
    size_t (*param_count)(const cf_spline *spline);
    cf_spline_formula formula;
} kind;

static const kind kinds[] = {
    [CF_RATIONAL_QUADRATIC_SPLINE] = {&cf_rational_quadratic_spline_op,
                                      &cf_rational_quadratic_spline_gradient_op,
                                      rational_quadratic_param_count,
                                      cf_rational_quadratic_formula},
    [CF_LINEAR_SPLINE] = {&cf_linear_spline_op, &cf_linear_spline_gradient_op, linear_param_count,
                          cf_linear_formula},
    [CF_QUADRATIC_SPLINE] = {&cf_quadratic_spline_op, &cf_quadratic_spline_gradient_op,
                             quadratic_param_count, cf_quadratic_formula},
    [CF_CUBIC_SPLINE] = {&cf_cubic_spline_op, &cf_cubic_spline_gradient_op, cubic_param_count,
                         cf_cubic_formula},
};

/* Of a node of either op. */
static const kind *kind_of(const cf_node *node) {
    const cf_spline_params *p = node->params;
    return &kinds[p->spline.kind];
}

size_t cf_spline_param_count(const cf_spline *spline) {
    return kinds[spline->kind].param_count(spline);
}

cf_value cf_spline_map(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params,
                       bool inverse, cf_value *log_det) {
    const cf_op *op = kinds[spline->kind].op;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_value_size(b, x), given = cf_value_size(b, params);
    size_t numbers = cf_spline_param_count(spline);
    if (given != features * numbers)
        return cf_builder_fail(b, CF_INVALID,
                               "%s: %zu features with %zu unconstrained parameters, not %zu",
                               op->name, features, given, features * numbers);
    cf_value operands[2] = {x, cf_broadcast(b, params)};
    cf_spline_params op_params = {*spline, inverse};
    cf_value out = cf_emit(b, op, CF_BATCHED, features + 1, 2, operands, CF_PARAMS(&op_params));
    *log_det = cf_slice(b, out, features, 1);
    return cf_slice(b, out, 0, features);
}

void cf_spline_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                    const bool *needed, cf_value *dx) {
    size_t features = node->operand_size[0], params = node->operand_size[1];
    cf_value operands[3] = {node->operand[0], node->operand[1], dout};
    (void)out;
    (void)needed;
    cf_value both = cf_emit(b, kind_of(node)->gradient, CF_BATCHED, features + params, 3, operands,
                            cf_params_of(node));
    dx[0] = cf_slice(b, both, 0, features);
    dx[1] = cf_slice(b, both, features, params);
}

/* ---- the gradient's gradient ---- */

/* The curve, and what lies beyond its ends: the identity or, with free tails, the tangent there. */
static cf_value map(cf_builder *b, const cf_node *node, cf_value x, cf_value params,
                    cf_value *log_slope) {
    const cf_spline_params *p = node->params;
    double low = p->spline.low, high = p->spline.high;
    cf_value within = cf_clamp(b, x, low, high), slope;
    cf_value y = kind_of(node)->formula(b, &p->spline, within, params, &slope);
    *log_slope = cf_log(b, slope);
    if (p->spline.tails == CF_TAILS_FREE)
        return cf_add(b, y, cf_multiply(b, cf_subtract(b, x, within), slope));
    cf_value inside = cf_multiply(b, cf_greater_equal(b, x, low),
                                  cf_greater_equal(b, cf_scale_shift(b, x, -1.0, 0.0), -high));
    *log_slope = cf_multiply(b, inside, *log_slope);
    return cf_add(b, x, cf_multiply(b, inside, cf_subtract(b, y, within)));
}

/* An inverse has its gradient at the point that its op finds. There params is a copy of its own:
 * what the point has from it counts separately. */
static cf_value gradient_formula(cf_builder *b, const cf_node *node, const cf_value *operand) {
    const cf_spline_params *p = node->params;
    size_t features = node->operand_size[0];
    cf_value x = operand[0], params = operand[1];
    if (p->inverse) {
        x = cf_emit(b, kind_of(node)->op, CF_BATCHED, features + 1, 2, operand, cf_params_of(node));
        x = cf_copy(b, cf_slice(b, x, 0, features));
        params = cf_copy(b, params);
    }
    return cf_map_gradient_formula(b, node, map, x, params, operand[2], p->inverse);
}

void cf_spline_gradient_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx) {
    (void)out;
    cf_formula_rule(b, node, gradient_formula, dout, needed, dx);
}
