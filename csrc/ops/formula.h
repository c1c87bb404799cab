/* Gradients by a formula. A fused op has a gradient with a kernel of its own. What that computes is
 * written once more as a formula, of ops that have rules themselves: differentiating the formula
 * gives the gradient's rule, and so gradients of any order. Programs that do not differentiate
 * twice never contain it. */
#ifndef CF_OPS_FORMULA_H
#define CF_OPS_FORMULA_H

#include "ops/ops.h"

/* The value of `node`, of `operand` in place of its operands; `node` tells parameters and sizes. */
typedef cf_value (*cf_formula)(cf_builder *b, const cf_node *node, const cf_value *operand);

/* A gradient rule: the cotangents of the operands are those of the formula's. */
void cf_formula_rule(cf_builder *b, const cf_node *node, cf_formula formula, cf_value dout,
                     const bool *needed, cf_value *dx);

/* A map of each feature of x, with unconstrained parameters, as splines are: y, and the logarithms
 * of dy/dx. */
typedef cf_value (*cf_map_formula)(cf_builder *b, const cf_node *node, cf_value x, cf_value params,
                                   cf_value *log_slope);

/* The formula of the gradient of a map whose op gives y and log_det, or of its inverse: the
 * cotangents of x, or of y, and of params, joined. x, where the map or its inverse has its
 * gradient, and params are whole nodes that nothing here depends on otherwise; dout is the
 * cotangent of the op's output. */
cf_value cf_map_gradient_formula(cf_builder *b, const cf_node *node, cf_map_formula formula,
                                 cf_value x, cf_value params, cf_value dout, bool inverse);

#endif
