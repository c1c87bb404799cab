/* Copies, pickles and frozen parameters: methods of Flow. */
#ifndef CF_BINDINGS_FLOW_STATE_H
#define CF_BINDINGS_FLOW_STATE_H

#include "bindings/flow.h"

PyObject *cf_py_flow_freeze(PyObject *self, PyObject *pattern);
PyObject *cf_py_flow_unfreeze(PyObject *self, PyObject *pattern);
PyObject *cf_py_flow_frozen(PyObject *self, void *closure);
PyObject *cf_py_flow_astype(PyObject *self, PyObject *dtype);
PyObject *cf_py_flow_reduce(PyObject *self, PyObject *unused);
/* (parameters, buffers) as they are at one moment; RuntimeError while an epoch changes them. */
PyObject *cf_py_flow_snapshot(PyObject *self, PyObject *unused);
PyObject *cf_py_flow_setstate(PyObject *self, PyObject *state);

#endif
