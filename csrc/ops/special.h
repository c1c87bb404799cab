/* Ops that base distributions are made of. */
#ifndef CF_OPS_SPECIAL_H
#define CF_OPS_SPECIAL_H

#include "ops/ops.h"

/* `size` numbers of the float64 buffers, rounded to the dtype: an unbatched value. */
cf_value cf_buffer(cf_builder *b, size_t offset, size_t size);

/* Integrals from 0 to y of g(t)^order exp(-a g(t) - h(t)) dt, feature by feature. They are the
 * distribution functions of truncated normal, von Mises and gamma distributions, not normalised,
 * and, of order 1, minus their derivatives in a. */
typedef enum {
    CF_AREA_NORMAL, /* g = t, h = t^2 / 2; a, y >= 0 */
    CF_AREA_CIRCLE, /* g = 1 - cos(t), h = 0; a >= 0, |y| <= pi */
    CF_AREA_GAMMA,  /* g = exp(t) - 1 - t, h = 0; a >= 1, right to 1e-8 alone */
} cf_area_kind;

cf_value cf_area(cf_builder *b, cf_area_kind kind, unsigned order, cf_value a, cf_value y);

/* What is integrated, at y. */
cf_value cf_area_density(cf_builder *b, cf_area_kind kind, unsigned order, cf_value a, cf_value y);

/* x log(x / y) - x + y for positive x and y, without cancellation where they are close: the
 * divergence of two Poisson distributions. */
cf_value cf_kl_div(cf_builder *b, cf_value x, cf_value y);

/* log gamma(x) - [(x - 1/2) log(x) - x + log(2 pi) / 2], the remainder of Stirling's formula, for
 * x > 0. It can be differentiated twice. */
cf_value cf_stirling(cf_builder *b, cf_value x);

/* x, but no nearer to 0 than the least normal number and to 1 than the number before it; with
 * `below_one` false only the former. The gradient is that of x. */
cf_value cf_interior(cf_builder *b, cf_value x, bool below_one);

#endif
