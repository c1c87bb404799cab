/* What the files of splines define, each an op and its gradient, and what they take from splines.c.
 *
 * Operands are x [F] and params [P F], number p of feature f at p F + f, and of gradients the
 * cotangent; the output is y [F] and the log_det, of gradients the cotangents of x and of
 * params. */
#ifndef CF_OPS_SPLINES_H
#define CF_OPS_SPLINES_H

#include "ops/spline.h"

typedef struct {
    cf_spline spline;
    bool inverse;
} cf_spline_params;

extern const cf_op cf_rational_quadratic_spline_op, cf_rational_quadratic_spline_gradient_op;
extern const cf_op cf_linear_spline_op, cf_linear_spline_gradient_op;
extern const cf_op cf_quadratic_spline_op, cf_quadratic_spline_gradient_op;
extern const cf_op cf_cubic_spline_op, cf_cubic_spline_gradient_op;

/* The rules of all those ops, and of all their gradients. */
void cf_spline_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                    const bool *needed, cf_value *dx);
void cf_spline_gradient_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                             const bool *needed, cf_value *dx);

/* The curves as formulas (spline_formulas.c): y of numbers x between the ends, and dy/dx. */
typedef cf_value (*cf_spline_formula)(cf_builder *b, const cf_spline *spline, cf_value x,
                                      cf_value params, cf_value *slope);
cf_value cf_rational_quadratic_formula(cf_builder *b, const cf_spline *spline, cf_value x,
                                       cf_value params, cf_value *slope);
cf_value cf_linear_formula(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params,
                           cf_value *slope);
cf_value cf_quadratic_formula(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params,
                              cf_value *slope);
cf_value cf_cubic_formula(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params,
                          cf_value *slope);

#endif
