/* The Python object that holds a flow. */
#ifndef CF_BINDINGS_FLOW_H
#define CF_BINDINGS_FLOW_H

#include "bindings/module.h"
#include "flow/flow.h"

typedef struct {
    PyObject ob_base;
    const cf_module_state *state;
    cf_flow *flow;   /* NULL until __init__ or __setstate__ has succeeded */
    PyObject *owner; /* the capsule that frees it: the base of all views, which so outlive self */
    PyObject *parameters, *gradients, *buffers; /* dicts of name -> view */
} cf_py_flow;

/* Adds Flow and Cotangents to the module. */
bool cf_py_add_flow(PyObject *module);

/* The flow of an object of class Flow; RuntimeError if it has not been initialised. */
cf_flow *cf_py_flow_of(PyObject *self);

/* Makes `flow` that of an object which has none yet; frees it in failure. */
bool cf_py_flow_adopt(cf_py_flow *self, cf_flow *flow);

/* Forgets the flow, as if it had never been built. */
void cf_py_flow_drop(cf_py_flow *self);

/* Builds a flow of Python specs, `base` and `embedding` may be None, and of `parts` for the rest,
 * and adopts it. */
bool cf_py_flow_build(cf_py_flow *self, PyObject *layers, PyObject *base, PyObject *embedding,
                      cf_flow_parts parts);

#endif
