/* What a loop carries from epoch to epoch, as a dict. */
#ifndef CF_BINDINGS_TRAINER_STATE_H
#define CF_BINDINGS_TRAINER_STATE_H

#include "bindings/module.h"
#include "train/loop.h"

/* A new dict of numbers and copies of arrays. */
PyObject *cf_py_loop_state(cf_training *loop);

/* Sets all that such a dict holds or, if anything is missing or wrong, nothing. */
bool cf_py_loop_load(const cf_module_state *module, cf_training *loop, PyObject *dict);

#endif
