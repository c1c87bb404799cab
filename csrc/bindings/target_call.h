/* A target in Python, called from steps that run without the GIL. */
#ifndef CF_BINDINGS_TARGET_CALL_H
#define CF_BINDINGS_TARGET_CALL_H

#include "bindings/module.h"

#include "flow/flow.h"

/* While a step runs: the thread's saved state, and what the target is called with. */
typedef struct {
    PyThreadState *saved;
    const cf_flow *flow;
    cf_dtype dtype; /* of the samples */
    PyObject *callable;
    PyArrayObject *contexts; /* borrowed; NULL: none */
} cf_py_target_call;

/* A cf_target, given a cf_py_target_call: takes the GIL for the callable; false if an exception is
 * set. */
bool cf_py_evaluate_target(void *given, size_t rows, const void *x, const int64_t *context_numbers,
                           double *log_density, double *gradient);

#endif
