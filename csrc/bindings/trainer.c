#include "bindings/trainer.h"

#include "base/pool.h"
#include "bindings/arguments.h"
#include "bindings/flow.h"
#include "bindings/one_method.h"
#include "bindings/trainer_state.h"
#include "bindings/spec.h"
#include "bindings/training_rows.h"
#include "train/trainer.h"

typedef struct {
    PyObject ob_base;
    const cf_module_state *state;
    PyObject *flow;      /* kept alive */
    cf_trainer *trainer; /* NULL once closed */
    cf_py_training_rows train, validation;
    atomic_bool busy; /* a method is under way: epochs run without the GIL */
} py_trainer;

/* ---- settings ---- */

static bool read_jitter(PyObject *object, const cf_flow *flow, PyArrayObject **out) {
    if (!cf_py_read_contiguous(object, NPY_FLOAT64, out))
        return false;
    size_t features = cf_flow_features(flow);
    if (*out == NULL || (size_t)PyArray_DIM(*out, 0) == features)
        return true;
    PyErr_Format(PyExc_ValueError, "jitter must be one number or %zu, one a column, got %zd",
                 features, (Py_ssize_t)PyArray_DIM(*out, 0));
    Py_CLEAR(*out);
    return false;
}

/* ---- life ---- */

enum {
    FLOW,
    TRAIN,
    VALIDATION,
    OPTIMIZER,
    SCHEDULE,
    EPOCHS,
    BATCH_SIZE,
    PATIENCE,
    CLIP_NORM,
    JITTER,
    SEED,
    ARGUMENTS
};

static bool read_options(const cf_module_state *state, PyObject *const *given,
                         cf_train_options *out) {
    out->optimizer = cf_py_spec_get(state, given[OPTIMIZER]);
    out->schedule = cf_py_spec_get(state, given[SCHEDULE]);
    out->threads = cf_num_threads();
    out->clip_norm = PyFloat_AsDouble(given[CLIP_NORM]);
    return !PyErr_Occurred() && cf_py_count(given[EPOCHS], "epochs", INT64_MAX, &out->epochs) &&
           cf_py_count(given[BATCH_SIZE], "batch_size", INT64_MAX, &out->batch_size) &&
           cf_py_count(given[PATIENCE], "patience", INT64_MAX, &out->patience) &&
           cf_py_count(given[SEED], "seed", UINT64_MAX, &out->seed);
}

/* Looks through the data and takes hold of the flow. */
static bool begin(py_trainer *self, cf_flow *flow, PyObject *const *given) {
    cf_train_options options = {0};
    PyArrayObject *jitter;
    cf_status status;
    bool validated = given[VALIDATION] != Py_None;
    if (!read_options(self->state, given, &options) ||
        !cf_py_read_training_rows(given[TRAIN], flow, "x", &self->train) ||
        (validated &&
         !cf_py_read_training_rows(given[VALIDATION], flow, "validation", &self->validation)) ||
        !read_jitter(given[JITTER], flow, &jitter))
        return false;
    options.jitter = jitter == NULL ? NULL : PyArray_DATA(jitter);
    Py_BEGIN_ALLOW_THREADS;
    status = cf_trainer_new(&self->trainer, flow, &self->train.data,
                            validated ? &self->validation.data : NULL, &options);
    Py_END_ALLOW_THREADS;
    Py_XDECREF(jitter);
    if (status != CF_OK)
        cf_py_fail(self->state, status);
    return status == CF_OK;
}

static PyObject *trainer_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"flow",      "train",  "validation", "optimizer",
                            "schedule",  "epochs", "batch_size", "patience",
                            "clip_norm", "jitter", "seed",       NULL};
    const cf_module_state *state = cf_py_state(type);
    PyObject *given[ARGUMENTS];
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(args, keywords, "O!O!OO!O!OOOOOO:Trainer", names, state->flow,
                                     &given[FLOW], &PyTuple_Type, &given[TRAIN], &given[VALIDATION],
                                     state->spec, &given[OPTIMIZER], state->spec, &given[SCHEDULE],
                                     &given[EPOCHS], &given[BATCH_SIZE], &given[PATIENCE],
                                     &given[CLIP_NORM], &given[JITTER], &given[SEED]))
        return NULL;
    if (given[VALIDATION] != Py_None && !PyTuple_Check(given[VALIDATION]))
        return PyErr_Format(PyExc_TypeError, "validation must be a tuple or None");
    cf_flow *flow = cf_py_flow_of(given[FLOW]);
    py_trainer *self = flow == NULL ? NULL : (py_trainer *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = state;
    self->flow = Py_NewRef(given[FLOW]);
    if (!begin(self, flow, given))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void close_trainer(py_trainer *self) {
    cf_trainer_free(self->trainer);
    self->trainer = NULL;
    cf_py_release_training_rows(&self->train);
    cf_py_release_training_rows(&self->validation);
}

static void trainer_dealloc(PyObject *object) {
    py_trainer *self = (py_trainer *)object;
    PyTypeObject *type = Py_TYPE(object);
    close_trainer(self);
    Py_CLEAR(self->flow);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---- epochs ---- */

static const char *const stop_names[] = {NULL, "epochs", "patience", "interrupted"};

static PyObject *report_tuple(const cf_epoch_report *r) {
    return Py_BuildValue("(KKKKdddOz)", (unsigned long long)r->epoch, (unsigned long long)r->step,
                         (unsigned long long)r->steps_per_epoch, (unsigned long long)r->skipped,
                         r->train, r->validation, r->learning_rate, r->best ? Py_True : Py_False,
                         stop_names[r->stop]);
}

/* While an epoch runs: the thread's saved state, whom to tell, and what came of it. */
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

/* Whether the exception that is set is Ctrl-C's, which is then no longer set. */
static bool take_interrupt(void) {
    bool interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
    if (interrupted)
        PyErr_Clear();
    return interrupted;
}

/* What Python gets of an epoch. Ctrl-C is told rather than raised, so that the report of an epoch
 * that came to its end is never lost. */
static PyObject *epoch_result(const py_trainer *self, cf_status status, bool failed,
                              cf_epoch_report *report) {
    if (failed)
        return take_interrupt() ? Py_NewRef(Py_None) : NULL;
    if (status != CF_OK)
        return cf_py_fail(self->state, status);
    if (PyErr_CheckSignals() != 0) {
        if (!take_interrupt())
            return NULL;
        report->stop = CF_STOP_INTERRUPTED;
    }
    return report_tuple(report);
}

static PyObject *trainer_epoch(PyObject *object, PyObject *callable) {
    py_trainer *self = (py_trainer *)object;
    polling p = {.callable = callable};
    cf_epoch_report report;
    if (!cf_py_enter_method(&self->busy, self->trainer))
        return NULL;
    p.saved = PyEval_SaveThread();
    cf_status status = cf_trainer_epoch(self->trainer, poll, &p, &report);
    PyEval_RestoreThread(p.saved);
    cf_py_leave_method(&self->busy);
    return epoch_result(self, status, p.failed, &report);
}

static PyObject *trainer_stop(PyObject *object, PyObject *unused) {
    py_trainer *self = (py_trainer *)object;
    (void)unused;
    if (!cf_py_enter_method(&self->busy, self->trainer))
        return NULL;
    const char *name = stop_names[cf_trainer_stop(self->trainer)];
    cf_py_leave_method(&self->busy);
    return Py_BuildValue("z", name);
}

/* ---- state ---- */

static PyObject *trainer_state(PyObject *object, PyObject *unused) {
    py_trainer *self = (py_trainer *)object;
    (void)unused;
    if (!cf_py_enter_method(&self->busy, self->trainer))
        return NULL;
    PyObject *dict = cf_py_trainer_state(self->trainer);
    cf_py_leave_method(&self->busy);
    return dict;
}

static PyObject *trainer_load_state(PyObject *object, PyObject *dict) {
    py_trainer *self = (py_trainer *)object;
    if (!cf_py_enter_method(&self->busy, self->trainer))
        return NULL;
    bool done = cf_py_trainer_load(self->state, self->trainer, dict);
    cf_py_leave_method(&self->busy);
    return done ? Py_NewRef(Py_None) : NULL;
}

static PyObject *trainer_restore_best(PyObject *object, PyObject *unused) {
    py_trainer *self = (py_trainer *)object;
    (void)unused;
    if (!cf_py_enter_method(&self->busy, self->trainer))
        return NULL;
    cf_trainer_restore_best(self->trainer);
    cf_py_leave_method(&self->busy);
    Py_RETURN_NONE;
}

static PyObject *trainer_close(PyObject *object, PyObject *unused) {
    py_trainer *self = (py_trainer *)object;
    (void)unused;
    if (!cf_py_enter_close(&self->busy))
        return NULL;
    close_trainer(self);
    cf_py_leave_method(&self->busy);
    Py_RETURN_NONE;
}

/* ---- the class ---- */

PyDoc_STRVAR(trainer_doc,
             "Trainer(flow, train, validation, optimizer, schedule, epochs, batch_size, patience, "
             "clip_norm, jitter, seed)\n--\n\n"
             "The epoch loop of `Flow.fit`, which says what its arguments mean.\n\n"
             "`train` and `validation` are (x, context, weights, index). The trainer holds the "
             "flow, and its parameters and buffers are as they were, until the first epoch.");

PyDoc_STRVAR(epoch_doc, "epoch($self, poll, /)\n--\n\n"
                        "Run one epoch and return its report, or None if Ctrl-C cut it short.\n\n"
                        "poll(report, rows), unless None, is called at most every 100 ms.");

PyDoc_STRVAR(stop_doc, "stop($self, /)\n--\n\n"
                       "Why no epoch is to follow: 'epochs' or 'patience'; None if one is.");

PyDoc_STRVAR(state_doc, "state($self, /)\n--\n\n"
                        "All that the next epoch depends on beside parameters and buffers.");

PyDoc_STRVAR(load_state_doc, "load_state($self, state, /)\n--\n\n"
                             "Go on from what state() gave.");

PyDoc_STRVAR(restore_best_doc, "restore_best($self, /)\n--\n\n"
                               "Put the weights of the best validation loss in place, if any.");

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Let go of the flow and the data.");

static PyMethodDef methods[] = {
    {"epoch", trainer_epoch, METH_O, epoch_doc},
    {"stop", trainer_stop, METH_NOARGS, stop_doc},
    {"state", trainer_state, METH_NOARGS, state_doc},
    {"load_state", trainer_load_state, METH_O, load_state_doc},
    {"restore_best", trainer_restore_best, METH_NOARGS, restore_best_doc},
    {"close", trainer_close, METH_NOARGS, close_doc},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)trainer_doc},
    {Py_tp_new, trainer_new},
    {Py_tp_dealloc, trainer_dealloc},
    {Py_tp_methods, methods},
    {0},
};

static PyType_Spec trainer_spec = {
    .name = "cflows._core.Trainer",
    .basicsize = sizeof(py_trainer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

bool cf_py_add_trainer(PyObject *module) {
    PyTypeObject *type = cf_py_add_type(module, &trainer_spec, NULL);
    Py_XDECREF(type);
    return type != NULL;
}
