/* The Python object that trains a flow, and the split of rows. */
#ifndef CF_BINDINGS_TRAINER_H
#define CF_BINDINGS_TRAINER_H

#include "bindings/module.h"

/* Adds Trainer to the module. */
bool cf_py_add_trainer(PyObject *module);

/* split_rows(rows, fraction, seed) -> (train, validation): arrays of row numbers, ascending. */
PyObject *cf_py_split_rows(PyObject *module, PyObject *args);

#endif
