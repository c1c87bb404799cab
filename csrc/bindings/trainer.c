/* The epoch loop over rows: the class Trainer. */
#include "bindings/training.h"

#include "bindings/arguments.h"

/* ---- life ---- */

enum {
    MODEL,
    LOSS,
    TRAIN,
    VALIDATION,
    OPTIMIZER,
    SCHEDULE,
    EPOCHS,
    BATCH_SIZE,
    PATIENCE,
    CLIP_NORM,
    EMA,
    JITTER,
    SEED,
    ARGUMENTS
};

static bool read_loop_options(const cf_py_trainer *self, PyObject *const *given,
                              cf_training_options *out) {
    if (!cf_py_read_learning(self, given[OPTIMIZER], given[SCHEDULE], given[CLIP_NORM], given[EMA],
                             out))
        return false;
    out->keep_best = true;
    return cf_py_count(given[EPOCHS], "epochs", INT64_MAX, &out->epochs) &&
           cf_py_count(given[PATIENCE], "patience", INT64_MAX, &out->patience);
}

/* Reads the data, whose arrays the object keeps. */
static bool read_data(cf_py_trainer *self, PyObject *const *given, cf_rows_options *out) {
    const cf_function *loss = out->loss;
    bool validated = given[VALIDATION] != Py_None;
    if (!cf_py_read_training_rows(given[TRAIN], loss, "x", &self->train) ||
        (validated &&
         !cf_py_read_training_rows(given[VALIDATION], loss, "validation", &self->validation)))
        return false;
    out->train = &self->train.data;
    out->validation = validated ? &self->validation.data : NULL;
    return cf_py_count(given[BATCH_SIZE], "batch_size", INT64_MAX, &out->batch_size) &&
           cf_py_count(given[SEED], "seed", UINT64_MAX, &out->seed);
}

static bool read_jitter(PyObject *object, const cf_function *loss, PyArrayObject **out) {
    size_t features = cf_function_input_features(loss, "x");
    if (!cf_py_read_contiguous(object, NPY_FLOAT64, out))
        return false;
    if (*out == NULL || (size_t)PyArray_DIM(*out, 0) == features)
        return true;
    PyErr_Format(PyExc_ValueError, "jitter must be one number or %zu, one a column, got %zd",
                 features, (Py_ssize_t)PyArray_DIM(*out, 0));
    Py_CLEAR(*out);
    return false;
}

/* Checks the data and locks the model. */
static bool begin(cf_py_trainer *self, PyObject *const *given, bool standardize_again) {
    const cf_py_contents *contents = &((cf_py_model *)self->model)->contents;
    cf_training_options options;
    cf_rows_options rows = {.flow = contents->flow, .standardize_again = standardize_again};
    PyArrayObject *jitter;
    cf_status status;
    if (!read_loop_options(self, given, &options) ||
        !cf_py_find_loss(self, given[LOSS], &rows.loss, &rows.pairs) ||
        !read_data(self, given, &rows) || !read_jitter(given[JITTER], rows.loss, &jitter))
        return false;
    rows.threads = options.threads;
    rows.jitter = jitter == NULL ? NULL : PyArray_DATA(jitter);
    Py_BEGIN_ALLOW_THREADS;
    status = cf_rows_new(&self->rows, contents->model, &rows);
    Py_END_ALLOW_THREADS;
    Py_XDECREF(jitter);
    if (status != CF_OK)
        return cf_py_fail(self->state, status) != NULL;
    return cf_py_trainer_start(self, cf_rows_objective(self->rows), &options);
}

static PyObject *trainer_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"model",    "loss",   "train",      "validation",        "optimizer",
                            "schedule", "epochs", "batch_size", "patience",          "clip_norm",
                            "ema",      "jitter", "seed",       "standardize_again", NULL};
    int again = 0;
    const cf_module_state *state = cf_py_state(type);
    PyObject *given[ARGUMENTS];
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(
            args, keywords, "O!OO!OO!O!OOOOOOO|p:Trainer", names, state->model, &given[MODEL],
            &given[LOSS], &PyTuple_Type, &given[TRAIN], &given[VALIDATION], state->spec,
            &given[OPTIMIZER], state->spec, &given[SCHEDULE], &given[EPOCHS], &given[BATCH_SIZE],
            &given[PATIENCE], &given[CLIP_NORM], &given[EMA], &given[JITTER], &given[SEED], &again))
        return NULL;
    if (given[VALIDATION] != Py_None && !PyTuple_Check(given[VALIDATION]))
        return PyErr_Format(PyExc_TypeError, "validation must be a tuple or None");
    cf_py_trainer *self = cf_py_trainer_alloc(type, given[MODEL]);
    if (self != NULL && !begin(self, given, again != 0))
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---- epochs ---- */

static const char *const stop_names[] = {NULL, "epochs", "patience", "interrupted"};

static PyObject *report_tuple(const cf_epoch_report *r) {
    return Py_BuildValue("(KKKKdddOzd)", (unsigned long long)r->epoch, (unsigned long long)r->step,
                         (unsigned long long)r->steps_per_epoch, (unsigned long long)r->skipped,
                         r->train, r->validation, r->learning_rate, r->best ? Py_True : Py_False,
                         stop_names[r->stop], r->penalty);
}

/* While an epoch runs: the thread's saved state, the callback, and whether it failed. */
typedef struct {
    PyThreadState *saved;
    PyObject *callable;
    bool failed;
} polling;

/* Takes the GIL for signals and progress; true stops, an exception being set. */
static bool poll(void *context, const cf_epoch_report *so_far, uint64_t rows_in_epoch) {
    polling *p = context;
    PyEval_RestoreThread(p->saved);
    p->failed = PyErr_CheckSignals() != 0;
    if (!p->failed && p->callable != Py_None) {
        PyObject *result = PyObject_CallFunction(p->callable, "NK", report_tuple(so_far),
                                                 (unsigned long long)rows_in_epoch);
        p->failed = result == NULL;
        Py_XDECREF(result);
    }
    p->saved = PyEval_SaveThread();
    return p->failed;
}

/* Whether the exception that is set is Ctrl-C's; it is cleared then. */
static bool clear_interrupt(void) {
    bool interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
    if (interrupted)
        PyErr_Clear();
    return interrupted;
}

/* What Python gets of an epoch. Ctrl-C is reported rather than raised, so that the report of a
 * finished epoch is never lost. */
static PyObject *epoch_result(const cf_py_trainer *self, cf_status status, bool failed,
                              cf_epoch_report *report) {
    if (failed)
        return clear_interrupt() ? Py_NewRef(Py_None) : NULL;
    if (status != CF_OK)
        return cf_py_fail(self->state, status);
    if (PyErr_CheckSignals() != 0) {
        if (!clear_interrupt())
            return NULL;
        report->stop = CF_STOP_INTERRUPTED;
    }
    return report_tuple(report);
}

static PyObject *trainer_epoch(PyObject *object, PyObject *args) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    polling p = {.callable = Py_None};
    cf_epoch_report report;
    double kl_weight = 1.0;
    if (!PyArg_ParseTuple(args, "O|d:epoch", &p.callable, &kl_weight) ||
        !cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    p.saved = PyEval_SaveThread();
    cf_status status = cf_rows_set_kl_weight(self->rows, kl_weight);
    if (status == CF_OK)
        status = cf_training_epoch(self->loop, poll, &p, &report);
    PyEval_RestoreThread(p.saved);
    cf_py_leave_method(&self->busy);
    return epoch_result(self, status, p.failed, &report);
}

static PyObject *trainer_stop(PyObject *object, PyObject *unused) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    (void)unused;
    if (!cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    const char *name = stop_names[cf_training_stop(self->loop)];
    cf_py_leave_method(&self->busy);
    return Py_BuildValue("z", name);
}

/* ---- the class ---- */

PyDoc_STRVAR(
    trainer_doc,
    "Trainer(model, loss, train, validation, optimizer, schedule, epochs, batch_size, patience, "
    "clip_norm, ema, jitter, seed, standardize_again=False)\n--\n\n"
    "The epoch loop of `Flow.fit`, which says what its arguments mean.\n\n"
    "The trainer holds the model, whose parameters and buffers are as they were until the first\n"
    "epoch.\n\n"
    "Parameters\n----------\n"
    "model : Model\n"
    "loss : str or Criterion\n"
    "    The name of a function of the model, or a loss with options.\n"
    "train : tuple\n"
    "validation : tuple or None\n"
    "    Each (x, context, weights, index) and, or not, u.\n"
    "optimizer : Optimizer\n"
    "schedule : Schedule\n"
    "epochs, batch_size, patience : int\n"
    "clip_norm, ema : float\n"
    "jitter : array_like or None\n"
    "seed : int\n"
    "standardize_again : bool, default False");

PyDoc_STRVAR(epoch_doc, "epoch($self, poll, kl_weight=1.0, /)\n--\n\n"
                        "Run one epoch and return its report, or None if Ctrl-C cut it short.\n\n"
                        "Parameters\n----------\n"
                        "poll : callable or None\n"
                        "    poll(report, rows) is called at most every 100 ms.\n"
                        "kl_weight : float, default 1.0\n\n"
                        "Returns\n-------\n"
                        "tuple or None");

PyDoc_STRVAR(stop_doc, "stop($self, /)\n--\n\n"
                       "The stop reason, judged from completed epochs: 'epochs' or 'patience'.\n\n"
                       "Returns\n-------\n"
                       "str or None\n"
                       "    None if an epoch is to follow.");

PyDoc_STRVAR(state_doc, "state($self, /)\n--\n\n"
                        "All that the next epoch depends on beside parameters and buffers.\n\n"
                        "Returns\n-------\n"
                        "dict");

PyDoc_STRVAR(finish_doc,
             "finish($self, /)\n--\n\n"
             "Put the weights in place that training ends with: the best, if there are\n"
             "validation rows, or else the averaged or the last ones.");

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Let go of the model and the data.");

static PyMethodDef methods[] = {
    {"epoch", trainer_epoch, METH_VARARGS, epoch_doc},
    {"stop", trainer_stop, METH_NOARGS, stop_doc},
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
    .name = "cflows._core.Trainer",
    .basicsize = sizeof(cf_py_trainer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

bool cf_py_add_trainer(PyObject *module) {
    return cf_py_add_trainer_type(module, &trainer_spec);
}
