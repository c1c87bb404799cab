/* What the trainers' classes have in common: a loop that holds a model, one method at a time. */
#ifndef CF_BINDINGS_TRAINING_H
#define CF_BINDINGS_TRAINING_H

#include "bindings/model.h"
#include "bindings/one_method.h"
#include "bindings/training_rows.h"
#include "train/batches.h"
#include "train/draws.h"
#include "train/rows.h"

typedef struct {
    PyObject ob_base;
    const cf_module_state *state;
    PyObject *model;   /* kept alive */
    cf_training *loop; /* NULL once closed */
    cf_rows *rows;     /* one of the three is what the loop minimises */
    cf_draws *draws;
    cf_batches *batches;
    cf_py_training_rows train, validation;
    cf_py_rows contexts;
    atomic_bool busy; /* a method is under way: steps run without the GIL */
} cf_py_trainer;

/* A new object for a model, without a loop; NULL with an exception set. */
cf_py_trainer *cf_py_trainer_alloc(PyTypeObject *type, PyObject *model);

/* The loss of that name, which the model must have, or that a criterion describes; *pairs = the
 * function of its coupling, or NULL. */
bool cf_py_find_loss(const cf_py_trainer *self, PyObject *given, const cf_function **loss,
                     const cf_function **pairs);

/* Reads the options that all loops have; `ema` may be NULL. The others are those of single steps,
 * on all threads. */
bool cf_py_read_learning(const cf_py_trainer *self, PyObject *optimizer, PyObject *schedule,
                         PyObject *clip_norm, PyObject *ema, cf_training_options *out);

/* Starts the loop on an objective. */
bool cf_py_trainer_start(cf_py_trainer *self, cf_objective objective,
                         const cf_training_options *options);

void cf_py_trainer_dealloc(PyObject *self);

/* The methods close, state and load_state. */
PyObject *cf_py_trainer_close(PyObject *self, PyObject *unused);
PyObject *cf_py_trainer_get_state(PyObject *self, PyObject *unused);
PyObject *cf_py_trainer_set_state(PyObject *self, PyObject *state);
extern const char cf_py_load_state_doc[];

/* Puts in place the weights that training ends with. */
PyObject *cf_py_trainer_finish(PyObject *self, PyObject *unused);

/* Adds a class of trainers to the module. */
bool cf_py_add_trainer_type(PyObject *module, PyType_Spec *spec);

/* Adds Trainer, TargetTrainer and StepTrainer to the module. */
bool cf_py_add_trainer(PyObject *module);
bool cf_py_add_target_trainer(PyObject *module);
bool cf_py_add_step_trainer(PyObject *module);

#endif
