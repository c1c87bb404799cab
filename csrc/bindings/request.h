/* A call of a model's function: arrays in, arrays out. */
#ifndef CF_BINDINGS_REQUEST_H
#define CF_BINDINGS_REQUEST_H

#include "bindings/arguments.h"
#include "bindings/arrays.h"
#include "bindings/model.h"

/* The arrays of one call, and the call that the core gets. */
typedef struct {
    cf_py_model *self;
    cf_function_call call;
    cf_py_rows input[CF_MAX_PORTS], cotangent[CF_MAX_PORTS];
    bool counted; /* how many samples there are is known */
} cf_py_request;

/* Begins a call of the function of that name, with all threads; to be ended in any case. */
bool cf_py_request_begin(PyObject *self, const char *function, cf_py_request *out);
void cf_py_request_end(cf_py_request *request);

/* Reads an input, a row a sample; the first sets how many there are. `name` is the argument's, for
 * messages. */
bool cf_py_request_input(cf_py_request *request, const char *input, const char *name,
                         PyObject *object);

/* Which single row stands for as many as there are of the other. */
typedef enum { CF_PY_SPREAD_NONE, CF_PY_SPREAD_CONTEXT, CF_PY_SPREAD_EITHER } cf_py_spread;

/* Reads the input called context (NULL: none). A single row of it stands for all samples, or that
 * of the first input for all contexts, as `spread` says. */
bool cf_py_request_context(cf_py_request *request, PyObject *object, cf_py_spread spread);

/* Reads the cotangent of an output; `name` is the argument's, for messages. NULL: none. */
bool cf_py_request_cotangent(cf_py_request *request, const char *output, const char *name,
                             PyObject *object);

/* Reads the seed of random numbers and the number of the first sample (NULL: 0). */
bool cf_py_request_noise(cf_py_request *request, PyObject *seed, PyObject *start);

/* Whether stochastic layers take means; NULL: they do not. */
bool cf_py_request_deterministic(cf_py_request *request, PyObject *mean);

/* A new array of that shape for a port, which *result writes as rows; of the model's dtype, or of
 * float64 where its units need it. */
PyObject *cf_py_request_rows(const cf_py_request *request, const cf_port *port, int dims,
                             const npy_intp *shape, cf_result *result);

/* New arrays, a row a sample, for an output, or for the gradient with respect to an input. */
PyObject *cf_py_request_output(cf_py_request *request, const char *name);
PyObject *cf_py_request_gradient(cf_py_request *request, const char *name);

/* A new slab for the parameters' gradients, which the request then computes; and a new dict of
 * views on it. */
PyObject *cf_py_request_slab(cf_py_request *request);
PyObject *cf_py_request_tensors(const cf_py_request *request, PyObject *slab);

/* Computes without the GIL. */
bool cf_py_request_run(cf_py_request *request);

/* (a, b) if `done`, else NULL; steals both references. */
PyObject *cf_py_pair(bool done, PyObject *a, PyObject *b);

#define CF_PY_METHOD(name)                                                                         \
    PyObject *name(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)

/* model_functions.c: any function, by name. */
CF_PY_METHOD(cf_py_model_call);

/* flow_calls.c */
CF_PY_METHOD(cf_py_flow_forward);
CF_PY_METHOD(cf_py_flow_inverse);
CF_PY_METHOD(cf_py_flow_log_prob);
CF_PY_METHOD(cf_py_flow_sample);
CF_PY_METHOD(cf_py_flow_sample_and_log_prob);

/* flow_gradients.c */
CF_PY_METHOD(cf_py_flow_grad_log_prob);
CF_PY_METHOD(cf_py_flow_vjp);

/* loss.c: of a loss's mean. */
CF_PY_METHOD(cf_py_model_loss_and_grad);

#endif
