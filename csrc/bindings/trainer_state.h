/* What a trainer carries from epoch to epoch, as a dict. */
#ifndef CF_BINDINGS_TRAINER_STATE_H
#define CF_BINDINGS_TRAINER_STATE_H

#include "bindings/module.h"
#include "train/trainer.h"

/* A new dict of numbers and copies of arrays. */
PyObject *cf_py_trainer_state(cf_trainer *trainer);

/* Takes over what such a dict says, all of it or, if anything is missing or wrong, nothing. */
bool cf_py_trainer_load(const cf_module_state *module, cf_trainer *trainer, PyObject *dict);

#endif
