/* What a flow computes: methods of Flow. */
#ifndef CF_BINDINGS_FLOW_CALLS_H
#define CF_BINDINGS_FLOW_CALLS_H

#include "bindings/arguments.h"
#include "bindings/arrays.h"
#include "bindings/flow.h"

/* The two ends of a flow, whose points may differ in shape. */
typedef enum { CF_PY_U, CF_PY_X } cf_py_side;

static inline cf_py_side cf_py_other(cf_py_side side) {
    return side == CF_PY_U ? CF_PY_X : CF_PY_U;
}

cf_shape cf_py_shape_at(const cf_flow *flow, cf_py_side side);

/* The arrays of one call, and what the core is told. */
typedef struct {
    cf_py_flow *self;
    cf_py_rows x, context;
    cf_flow_call call;
} cf_py_request;

/* Takes x, which is of that side and called `name`, and context (NULL: none) for a computation row
 * by row; to be ended in any case. */
bool cf_py_request_begin(PyObject *self, PyObject *x, const char *name, cf_py_side side,
                         PyObject *context, cf_py_request *out);
void cf_py_request_end(cf_py_request *request);

/* Takes the seed of what stochastic layers draw and the number of the first row (NULL: 0). */
bool cf_py_request_noise(cf_py_request *request, PyObject *seed, PyObject *start);

/* Computes without the GIL. */
bool cf_py_request_run(cf_py_request *request,
                       cf_status (*compute)(cf_flow *, const cf_flow_call *));

/* New arrays for the request's rows: (n, ...) of that side, (n,). */
PyObject *cf_py_request_values(const cf_py_request *request, cf_py_side side, cf_result *result);
PyObject *cf_py_request_numbers(const cf_py_request *request, cf_result *result);

/* (a, b) if `done`, else NULL; gives both references away. */
PyObject *cf_py_pair(bool done, PyObject *a, PyObject *b);

#define CF_PY_METHOD(name)                                                                         \
    PyObject *name(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)

/* flow_calls.c */
CF_PY_METHOD(cf_py_flow_forward);
CF_PY_METHOD(cf_py_flow_inverse);
CF_PY_METHOD(cf_py_flow_log_prob);
CF_PY_METHOD(cf_py_flow_sample);
CF_PY_METHOD(cf_py_flow_sample_and_log_prob);

/* flow_gradients.c */
CF_PY_METHOD(cf_py_flow_grad_log_prob);
CF_PY_METHOD(cf_py_flow_vjp);
CF_PY_METHOD(cf_py_flow_loss_and_grad);

#endif
