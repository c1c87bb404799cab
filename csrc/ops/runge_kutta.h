/* What the steps of Runge-Kutta methods are made of, for ops/ode.c alone. */
#ifndef CF_OPS_RUNGE_KUTTA_H
#define CF_OPS_RUNGE_KUTTA_H

#include "ops/ops.h"

enum { CF_MAX_STAGES = 7 };

/* How large errors may be: where the root mean square of error / (atol + rtol max(|y|, |y next|))
 * over the first features, or that of the last `apart`, is 1. rtol and atol count as at least 4
 * units in the last place of 1. */
typedef struct {
    double rtol, atol;
    size_t apart;
} cf_tolerance;

/* y + h (coefficient[0] slope[0] + ...). h, one feature, gets no cotangent. */
cf_value cf_advance(cf_builder *b, cf_value y, cf_value h, size_t slopes, const cf_value *slope,
                    const double *coefficient);

/* Whether a step of length h from time t to `next` is accepted, and how long the following is;
 * without a gradient. The clock is t, h, and the error of the last step that was accepted; so are
 * the first features of the result, of which two more follow: 1 or 0, whether the step is accepted;
 * and the condition of the loop, 0 at time 1, NaN where steps have become so short that the time
 * stands still. `errors` are the coefficients of the slopes in the error. */
cf_value cf_control_step(cf_builder *b, cf_value y, cf_value next, cf_value clock, size_t slopes,
                         const cf_value *slope, const double *errors, cf_tolerance tolerance);

/* The length of a trial step from y along the slope; or, with the slope after that step, of the
 * first step of a method of this order (Hairer, Norsett and Wanner 1993, section II.4); without a
 * gradient. */
cf_value cf_trial_step(cf_builder *b, cf_value y, cf_value slope, cf_tolerance tolerance);
cf_value cf_first_step(cf_builder *b, cf_value y, cf_value slope, cf_value after, cf_value trial,
                       cf_tolerance tolerance);

#endif
