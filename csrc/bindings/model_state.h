/* Copies, pickles, frozen parameters and added functions: methods of Model. */
#ifndef CF_BINDINGS_MODEL_STATE_H
#define CF_BINDINGS_MODEL_STATE_H

#include "bindings/model.h"

PyObject *cf_py_model_freeze(PyObject *self, PyObject *pattern);
PyObject *cf_py_model_unfreeze(PyObject *self, PyObject *pattern);
PyObject *cf_py_model_frozen(PyObject *self, void *closure);
PyObject *cf_py_model_astype(PyObject *self, PyObject *dtype);
PyObject *cf_py_model_reduce(PyObject *self, PyObject *unused);
/* A consistent copy, (parameters, buffers); RuntimeError while an epoch changes them. */
PyObject *cf_py_model_snapshot(PyObject *self, PyObject *unused);
PyObject *cf_py_model_setstate(PyObject *self, PyObject *state);

/* model_functions.c: name -> (inputs, outputs), tuples of (name, shape). */
PyObject *cf_py_model_functions(PyObject *self, PyObject *unused);
PyObject *cf_py_model_add_function(PyObject *self, PyObject *args);

#endif
