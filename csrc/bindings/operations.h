/* What Python's traced functions learn of the operations of instructions. */
#ifndef CF_BINDINGS_OPERATIONS_H
#define CF_BINDINGS_OPERATIONS_H

#include "bindings/module.h"

/* nn_operations() -> {name: (operands, integers, numbers, parameters, doc)}, of those with a doc.
 */
PyObject *cf_py_nn_operations(PyObject *module, PyObject *unused);

/* nn_size(name, sizes, integers) -> the size of the value, 0: the operands do not fit. */
PyObject *cf_py_nn_size(PyObject *module, PyObject *args);

#endif
