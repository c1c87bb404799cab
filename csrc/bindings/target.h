/* The Python object that fits a flow to a target: the loop of Flow.fit_target. */
#ifndef CF_BINDINGS_TARGET_H
#define CF_BINDINGS_TARGET_H

#include "bindings/module.h"

/* Adds TargetTrainer to the module. */
bool cf_py_add_target_trainer(PyObject *module);

#endif
