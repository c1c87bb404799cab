/* Steps on batches that the caller brings: the class StepTrainer. */
#include "bindings/training.h"

#include "bindings/arguments.h"

enum { MODEL, LOSS, OPTIMIZER, SCHEDULE, STEPS, CLIP_NORM, EMA, SEED, ARGUMENTS };

static bool begin(cf_py_trainer *self, PyObject *const *given) {
    const cf_py_contents *contents = &((cf_py_model *)self->model)->contents;
    cf_training_options options;
    const cf_function *loss, *pairs;
    uint64_t steps, seed;
    if (!cf_py_read_learning(self, given[OPTIMIZER], given[SCHEDULE], given[CLIP_NORM], given[EMA],
                             &options) ||
        !cf_py_count(given[STEPS], "steps", INT64_MAX, &steps) ||
        !cf_py_count(given[SEED], "seed", UINT64_MAX, &seed) ||
        !cf_py_find_loss(self, given[LOSS], &loss, &pairs))
        return false;
    cf_status status = cf_batches_new(&self->batches, contents->model, contents->flow, loss, pairs,
                                      steps, seed, options.threads);
    if (status != CF_OK)
        return cf_py_fail(self->state, status) != NULL;
    return cf_py_trainer_start(self, cf_batches_objective(self->batches), &options);
}

static PyObject *trainer_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"model",     "loss", "optimizer", "schedule", "steps",
                            "clip_norm", "ema",  "seed",      NULL};
    const cf_module_state *state = cf_py_state(type);
    PyObject *given[ARGUMENTS];
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(args, keywords, "O!OO!O!OOOO:StepTrainer", names, state->model,
                                     &given[MODEL], &given[LOSS], state->spec, &given[OPTIMIZER],
                                     state->spec, &given[SCHEDULE], &given[STEPS],
                                     &given[CLIP_NORM], &given[EMA], &given[SEED]))
        return NULL;
    cf_py_trainer *self = cf_py_trainer_alloc(type, given[MODEL]);
    if (self != NULL && !begin(self, given))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *trainer_step(PyObject *object, PyObject *batch) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    cf_py_training_rows rows = {0};
    cf_step_report report;
    cf_status status = CF_OK;
    if (!cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    bool read = PyTuple_Check(batch) &&
                cf_py_read_training_rows(batch, cf_batches_loss(self->batches), "x", &rows);
    if (read) {
        Py_BEGIN_ALLOW_THREADS;
        status = cf_batches_set(self->batches, &rows.data);
        if (status == CF_OK)
            status = cf_training_step(self->loop, &report);
        Py_END_ALLOW_THREADS;
    }
    cf_py_release_training_rows(&rows);
    cf_py_leave_method(&self->busy);
    if (!read && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "a batch is a tuple (x, context, weights, index)");
    if (!read)
        return NULL;
    if (status != CF_OK)
        return cf_py_fail(self->state, status);
    return Py_BuildValue("(dO)", report.loss, report.skipped ? Py_True : Py_False);
}

PyDoc_STRVAR(trainer_doc,
             "StepTrainer(model, loss, optimizer, schedule, steps, clip_norm, ema, seed)\n--\n\n"
             "The steps of `cflows.Trainer`, which says what its arguments mean.\n\n"
             "The trainer holds the model.\n\n"
             "Parameters\n----------\n"
             "model : Model\n"
             "loss : str or Criterion\n"
             "    The name of a function of the model, or a loss with options.\n"
             "optimizer : Optimizer\n"
             "schedule : Schedule\n"
             "steps : int\n"
             "    0 where their number is not known.\n"
             "clip_norm, ema : float\n"
             "seed : int");

PyDoc_STRVAR(step_doc, "step($self, batch, /)\n--\n\n"
                       "Make one step.\n\n"
                       "Parameters\n----------\n"
                       "batch : tuple\n"
                       "    (x, context, weights, index).\n\n"
                       "Returns\n-------\n"
                       "loss : float\n"
                       "skipped : bool");

PyDoc_STRVAR(finish_doc, "finish($self, /)\n--\n\n"
                         "Put the averaged weights in place, if they are averaged.");

PyDoc_STRVAR(state_doc, "state($self, /)\n--\n\n"
                        "All that the next step depends on beside parameters and buffers.\n\n"
                        "Returns\n-------\n"
                        "dict");

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Let go of the model.");

static PyMethodDef methods[] = {
    {"step", trainer_step, METH_O, step_doc},
    {"state", cf_py_trainer_get_state, METH_NOARGS, state_doc},
    {"load_state", cf_py_trainer_set_state, METH_O, cf_py_load_state_doc},
    {"finish", cf_py_trainer_finish, METH_NOARGS, finish_doc},
    {"close", cf_py_trainer_close, METH_NOARGS, close_doc},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)trainer_doc},
    {Py_tp_new, trainer_new},
    {Py_tp_dealloc, cf_py_trainer_dealloc},
    {Py_tp_methods, methods},
    {0},
};

static PyType_Spec trainer_spec = {
    .name = "cflows._core.StepTrainer",
    .basicsize = sizeof(cf_py_trainer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

bool cf_py_add_step_trainer(PyObject *module) {
    return cf_py_add_trainer_type(module, &trainer_spec);
}
