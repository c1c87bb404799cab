/* Roots of monotone functions: each sample, and each of its features, by its own iterations. */
#ifndef CF_OPS_ROOT_H
#define CF_OPS_ROOT_H

#include "engine/loop.h"
#include "ops/ops.h"

/* Emits f(x) and df/dx, feature by feature; *slope may stay CF_NO_VALUE, and is then the gradient
 * of *value, whose features must depend on theirs of x alone. `unfinished` has a feature that is 0
 * where f is not asked for any more (what is given there is ignored), or is CF_NO_VALUE. */
typedef void (*cf_root_function)(cf_builder *b, const void *context, cf_value x,
                                 cf_value unfinished, cf_value *value, cf_value *slope);

typedef struct {
    cf_root_function function; /* increasing, or decreasing */
    const void *context;       /* context_size bytes, copied into the builder */
    size_t context_size;
    bool decreasing;
    cf_value target;     /* y of f(x) = y */
    cf_value low, high;  /* the bracket; CF_NO_VALUE: infinite */
    cf_value start;      /* within it, where f is not NaN; CF_NO_VALUE: in its middle, or 0 */
    cf_value short_step; /* a Newton step so short is the last, since the error that it leaves is
                            less than rounding; CF_NO_VALUE: the bracket has to close */
    double noise;        /* how far rounding moves f, in units of the dtype's: numbers that close to
                            y are y, beside those that are so relative to it */
    bool detached;       /* the root gets no cotangent: its user states the gradient otherwise */
} cf_root_spec;

/* x of f(x) = y in [low, high], as many features as the target; the end that is nearer where there
 * is none inside. It is found by Newton's method within a bracket that f's sign narrows, and by
 * bisection where a step leaves the bracket, is not half as long as the one before, or is the
 * second in a row after some; halves of distances and halves of the numbers that the dtype has
 * between the ends take turns, so that any bracket, infinite ones too, closes within a bounded
 * number of steps. It is right to a few units in the last place of x or of y, whichever is coarser.
 *
 * y = +-inf gives an end, y = NaN gives NaN, and neither is a failure. A sample in which f is NaN
 * at the start, or that does not end, has failed: all of its features are NaN. NaN elsewhere counts
 * as having gone too far. `failed` (or NULL): 1 where a sample has failed, else 0.
 *
 * The gradient is that of the implicit function: dy = dx / (df/dx), and what f has read gets the
 * cotangents by f at the root, without solving again. */
cf_value cf_root(cf_builder *b, const cf_root_spec *spec, cf_value *failed);

/* One step of the search, for cf_root alone. state: low, high, x, step and, if there is one, the
 * short step. Gives low, high, x, step (0 where a feature has finished) and one feature more, the
 * condition. */
cf_value cf_root_step(cf_builder *b, cf_value state, cf_value value, cf_value slope,
                      cf_value target, bool decreasing, double noise);

#endif
