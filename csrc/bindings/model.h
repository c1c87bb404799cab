/* The Python object that holds a model: a flow, or functions alone. */
#ifndef CF_BINDINGS_MODEL_H
#define CF_BINDINGS_MODEL_H

#include "bindings/module.h"
#include "flow/flow.h"
#include "nn/traced.h"

/* All that an object has once it is initialised, or nothing. */
typedef struct {
    cf_model *model;
    cf_flow *flow;     /* NULL: it is no flow */
    cf_traced *traced; /* NULL: it is no model of functions alone */
    PyObject *owner;   /* the capsule that frees the model; as the base of all views it lets them
                          outlive the object */
    PyObject *parameters, *gradients, *buffers; /* dicts of name -> view */
} cf_py_contents;

typedef struct {
    PyObject ob_base;
    const cf_module_state *state;
    cf_py_contents contents; /* .model is NULL until __init__ or __setstate__ has succeeded */
} cf_py_model;

/* Adds Model to the module. */
bool cf_py_add_model(PyObject *module);

/* The model, or flow, of an object of the class; RuntimeError if it has not been initialised. */
cf_model *cf_py_model_of(PyObject *self);
cf_flow *cf_py_flow_of(PyObject *self);

/* Makes contents of a new model, with flow or traced set, which it frees on failure. */
bool cf_py_contents_new(cf_model *model, cf_flow *flow, cf_traced *traced, cf_py_contents *out);
void cf_py_contents_free(cf_py_contents *contents);

/* Gives an object its contents, once and for all; frees them, with RuntimeError, if it has some
 * already. */
bool cf_py_model_publish(cf_py_model *self, cf_py_contents *contents);

/* NULL: sets the RuntimeError of an object that has contents already. */
PyObject *cf_py_fail_initialised(PyObject *self);

/* Builds the contents of a flow of Python specs, `base` and `embedding` may be None, and of `parts`
 * for the rest. */
bool cf_py_flow_build(const cf_module_state *state, PyObject *layers, PyObject *base,
                      PyObject *embedding, cf_flow_parts parts, cf_py_contents *out);

#endif
