/* The Python object that trains a flow: the epoch loop of Flow.fit. */
#ifndef CF_BINDINGS_TRAINER_H
#define CF_BINDINGS_TRAINER_H

#include "bindings/module.h"

/* Adds Trainer to the module. */
bool cf_py_add_trainer(PyObject *module);

#endif
