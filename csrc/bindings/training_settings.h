/* Optimisers and schedules as Python gives them: tuples that the classes of cflows.optim make. */
#ifndef CF_BINDINGS_TRAINING_SETTINGS_H
#define CF_BINDINGS_TRAINING_SETTINGS_H

#include "bindings/module.h"
#include "train/optimizer.h"
#include "train/schedule.h"

/* (name, learning_rate, beta1, beta2, epsilon, momentum, weight_decay) */
bool cf_py_read_optimizer(PyObject *tuple, cf_optimizer *out);

/* (name, warmup, final, factor, patience) */
bool cf_py_read_schedule(PyObject *tuple, cf_schedule *out);

#endif
