/* Ordinary differential equations, dy/dt = f(t, y) from t = 0 to 1: each sample by its own steps,
 * so that its solution depends on nothing but itself. */
#ifndef CF_OPS_ODE_H
#define CF_OPS_ODE_H

#include "engine/loop.h"
#include "ops/ops.h"

/* Emits f(t, y), of as many features as y; t is one feature. */
typedef cf_value (*cf_slope)(cf_builder *b, const void *context, cf_value t, cf_value y);

typedef enum {
    CF_EULER,
    CF_RUNGE_KUTTA_4,
    CF_DORMAND_PRINCE_5, /* the step is chosen so that the error of each is within the tolerance */
    CF_TSITOURAS_5,      /* likewise */
    CF_SOLVERS
} cf_solver;

typedef struct {
    cf_slope function;
    const void *context; /* context_size bytes, copied into the builder */
    size_t context_size;
    cf_value start; /* y at t = 0, batched */
    cf_solver solver;
    uint32_t steps;    /* equal ones; of solvers that choose them, at most so many, tried ones
                          included */
    double rtol, atol; /* a step's error is at most atol + rtol |y| in the root mean square */
    size_t apart;      /* the last features, whose error is measured by itself */
} cf_ode_spec;

/* Whether the solver chooses the steps. */
bool cf_solver_is_adaptive(cf_solver solver);

/* y at t = 1. A sample that does not get there within the steps, or within steps that the dtype can
 * tell from 0, has failed: it is NaN. `failed` (or NULL): 1 where it has, else 0.
 *
 * The gradient is that of the steps as they were made, their lengths held, and can be taken once.
 */
cf_value cf_ode(cf_builder *b, const cf_ode_spec *spec, cf_value *failed);

#endif
