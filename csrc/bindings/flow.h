/* Flow and Cotangents. */
#ifndef CF_BINDINGS_FLOW_H
#define CF_BINDINGS_FLOW_H

#include "bindings/module.h"

/* Adds them to the module, after Model. */
bool cf_py_add_flow(PyObject *module);

#endif
