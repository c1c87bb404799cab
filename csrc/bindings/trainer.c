#include "bindings/trainer.h"

#include "base/memory.h"
#include "base/pool.h"
#include "bindings/arrays.h"
#include "bindings/flow.h"
#include "train/trainer.h"

#include <stddef.h>
#include <string.h>

/* One set of rows, with the arrays that must stay alive. */
typedef struct {
    cf_py_rows x, context;
    PyArrayObject *weights, *index;
    cf_data data;
} rows;

typedef struct {
    PyObject ob_base;
    PyObject *flow; /* kept alive */
    const cf_module_state *state;
    cf_trainer *trainer; /* NULL once closed */
    rows train, validation;
    bool running;
} py_trainer;

static void release_rows(rows *r) {
    cf_py_release(&r->x);
    cf_py_release(&r->context);
    Py_CLEAR(r->weights);
    Py_CLEAR(r->index);
}

/* A contiguous vector of the given type, or NULL for None; false if it cannot be one. */
static bool read_contiguous(PyObject *object, int type, PyArrayObject **out) {
    *out = NULL;
    if (object == Py_None)
        return true;
    *out = (PyArrayObject *)PyArray_FROMANY(object, type, 1, 1, NPY_ARRAY_IN_ARRAY);
    return *out != NULL;
}

/* Whether all row numbers are rows of x. */
static bool check_index(const rows *r) {
    const int64_t *index = PyArray_DATA(r->index);
    for (npy_intp i = 0; i < PyArray_DIM(r->index, 0); i++)
        if (index[i] < 0 || (size_t)index[i] >= r->x.rows) {
            PyErr_Format(PyExc_ValueError, "row number %lld of an array of %zu rows",
                         (long long)index[i], r->x.rows);
            return false;
        }
    return true;
}

/* (x, context, weights, index): weights by row of the index; None where there is none. */
static bool read_rows(PyObject *tuple, const cf_flow *flow, const char *name, rows *r) {
    PyObject *x, *context, *weights, *index;
    if (!PyArg_ParseTuple(tuple, "OOOO", &x, &context, &weights, &index) ||
        !cf_py_read_rows(x, name, cf_flow_features(flow), &r->x) ||
        !cf_py_read_context(context == Py_None ? NULL : context, cf_flow_context(flow),
                            &r->context) ||
        !cf_py_spread_context(&r->context, r->x.rows) ||
        !read_contiguous(weights, NPY_FLOAT64, &r->weights) ||
        !read_contiguous(index, NPY_INT64, &r->index) || (r->index != NULL && !check_index(r)))
        return false;
    r->data = (cf_data){.rows = r->x.rows, .x = r->x.view, .context = r->context.view};
    if (r->index != NULL) {
        r->data.rows = (size_t)PyArray_DIM(r->index, 0);
        r->data.x.index = r->data.context.index = PyArray_DATA(r->index);
    }
    if (r->weights != NULL) {
        r->data.weights = PyArray_DATA(r->weights);
        if ((size_t)PyArray_DIM(r->weights, 0) != r->data.rows) {
            PyErr_Format(PyExc_ValueError, "weights must have %zu entries, one a row, got %zd",
                         r->data.rows, (Py_ssize_t)PyArray_DIM(r->weights, 0));
            return false;
        }
    }
    return true;
}

static bool read_options(PyObject *args, PyObject *kwargs, PyObject **objects,
                         cf_train_options *o) {
    static char *names[] = {"flow",      "train",  "validation", "optimizer",
                            "schedule",  "epochs", "batch_size", "patience",
                            "clip_norm", "jitter", "seed",       NULL};
    int optimizer, schedule;
    unsigned long long epochs, batch, patience, seed, warmup, wait;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!O!O(idddddd)(iKddK)KKKdOK:Trainer", names, (PyTypeObject *)objects[0],
            &objects[1], &PyTuple_Type, &objects[2], &objects[3], &optimizer,
            &o->optimizer.learning_rate, &o->optimizer.beta1, &o->optimizer.beta2,
            &o->optimizer.epsilon, &o->optimizer.momentum, &o->optimizer.weight_decay, &schedule,
            &warmup, &o->schedule.final, &o->schedule.factor, &wait, &epochs, &batch, &patience,
            &o->clip_norm, &objects[4], &seed))
        return false;
    o->optimizer.kind = (cf_optimizer_kind)optimizer;
    o->schedule.kind = (cf_schedule_kind)schedule;
    o->schedule.warmup = warmup;
    o->schedule.patience = wait;
    o->epochs = epochs;
    o->batch_size = batch;
    o->patience = patience;
    o->seed = seed;
    o->threads = cf_num_threads();
    return true;
}

static bool check_jitter(const PyArrayObject *jitter, size_t features) {
    if (jitter == NULL || (size_t)PyArray_DIM(jitter, 0) == features)
        return true;
    PyErr_Format(PyExc_ValueError, "jitter must be one number or one a column: %zu, got %zd",
                 features, (Py_ssize_t)PyArray_DIM(jitter, 0));
    return false;
}

/* Looks through the data and takes hold of the flow. */
static bool begin(py_trainer *self, cf_train_options *options, PyObject *jitter) {
    cf_flow *flow = cf_py_flow_of(self->flow);
    const cf_data *validation = self->validation.x.array != NULL ? &self->validation.data : NULL;
    PyArrayObject *values;
    cf_status status;
    if (!read_contiguous(jitter, NPY_FLOAT64, &values) ||
        !check_jitter(values, cf_flow_features(flow))) {
        Py_XDECREF(values);
        return false;
    }
    options->jitter = values != NULL ? PyArray_DATA(values) : NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = cf_trainer_new(&self->trainer, flow, &self->train.data, validation, options);
    Py_END_ALLOW_THREADS;
    Py_XDECREF(values);
    if (status != CF_OK)
        cf_py_fail(self->state, status);
    return status == CF_OK;
}

static PyObject *trainer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    cf_module_state *state = cf_py_state(type);
    PyObject *objects[5] = {(PyObject *)state->flow};
    cf_train_options options = {0};
    if (!read_options(args, kwargs, objects, &options))
        return NULL;
    const cf_flow *flow = cf_py_flow_of(objects[1]);
    py_trainer *self = flow != NULL ? (py_trainer *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL)
        return NULL;
    self->state = state;
    self->flow = Py_NewRef(objects[1]);
    if (!read_rows(objects[2], flow, "x", &self->train) ||
        (objects[3] != Py_None && !read_rows(objects[3], flow, "validation", &self->validation)) ||
        !begin(self, &options, objects[4])) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void close_trainer(py_trainer *self) {
    cf_trainer_free(self->trainer);
    self->trainer = NULL;
    release_rows(&self->train);
    release_rows(&self->validation);
}

static void trainer_dealloc(PyObject *object) {
    py_trainer *self = (py_trainer *)object;
    PyTypeObject *type = Py_TYPE(object);
    close_trainer(self);
    Py_CLEAR(self->flow);
    type->tp_free(object);
    Py_DECREF(type);
}

static bool is_free(py_trainer *self) {
    if (self->trainer == NULL || self->running)
        PyErr_SetString(PyExc_RuntimeError,
                        self->running ? "the trainer is running" : "the trainer is closed");
    return self->trainer != NULL && !self->running;
}

static PyObject *report_tuple(const cf_epoch_report *r) {
    static const char *const stops[] = {NULL, "epochs", "patience", "interrupted"};
    return Py_BuildValue("(KKKKdddOz)", (unsigned long long)r->epoch, (unsigned long long)r->step,
                         (unsigned long long)r->steps_per_epoch, (unsigned long long)r->skipped,
                         r->train, r->validation, r->learning_rate, r->best ? Py_True : Py_False,
                         stops[r->stop]);
}

/* While the epoch runs, the thread's saved state, and whom to ask. */
typedef struct {
    PyThreadState *saved;
    PyObject *callable;
    bool failed;
} polling;

/* Takes the GIL for signals and progress; true stops, with `failed` if an exception is set. */
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

static PyObject *trainer_epoch(PyObject *object, PyObject *callable) {
    py_trainer *self = (py_trainer *)object;
    polling p = {.callable = callable};
    cf_epoch_report report;
    if (!is_free(self))
        return NULL;
    self->running = true;
    p.saved = PyEval_SaveThread();
    cf_status status = cf_trainer_epoch(self->trainer, poll, &p, &report);
    PyEval_RestoreThread(p.saved);
    self->running = false;
    if (p.failed || PyErr_CheckSignals() != 0)
        return NULL;
    if (status != CF_OK)
        return cf_py_fail(self->state, status);
    return report_tuple(&report);
}

/* The numbers of the progress, with their names; all are 8 bytes. */
typedef struct {
    const char *name;
    size_t offset;
    bool real;
} field;

static const field fields[] = {
    {"epoch", offsetof(cf_train_progress, epoch), false},
    {"step", offsetof(cf_train_progress, step), false},
    {"rows_drawn", offsetof(cf_train_progress, rows_drawn), false},
    {"skipped", offsetof(cf_train_progress, skipped), false},
    {"skipped_in_a_row", offsetof(cf_train_progress, skipped_in_a_row), false},
    {"best_epoch", offsetof(cf_train_progress, best_epoch), false},
    {"waited", offsetof(cf_train_progress, waited), false},
    {"has_best", offsetof(cf_train_progress, has_best), false},
    {"best_loss", offsetof(cf_train_progress, best_loss), true},
    {"plateau_best", offsetof(cf_train_progress, plateau.best), true},
    {"plateau_factor", offsetof(cf_train_progress, plateau.factor), true},
    {"plateau_waited", offsetof(cf_train_progress, plateau.waited), false},
};
enum { FIELDS = sizeof fields / sizeof *fields };

static const char *const arrays[] = {"first_moment", "second_moment", "best"};

static void *array_of(const cf_train_state *state, int i) {
    return i == 0 ? state->first_moment : i == 1 ? state->second_moment : state->best;
}

static PyObject *field_value(const cf_train_progress *progress, const field *f) {
    const char *at = (const char *)progress + f->offset;
    double real;
    uint64_t integer;
    memcpy(&real, at, sizeof real);
    memcpy(&integer, at, sizeof integer);
    return f->real ? PyFloat_FromDouble(real) : PyLong_FromUnsignedLongLong(integer);
}

/* Adds value, a new reference, to the dict. */
static bool put(PyObject *dict, const char *name, PyObject *value) {
    bool done = value != NULL && PyDict_SetItemString(dict, name, value) == 0;
    Py_XDECREF(value);
    return done;
}

static PyObject *copy_of(const void *data, const cf_train_state *state) {
    npy_intp size = (npy_intp)state->elements;
    PyObject *copy =
        PyArray_SimpleNew(1, &size, state->dtype == CF_FLOAT32 ? NPY_FLOAT32 : NPY_FLOAT64);
    if (copy != NULL)
        memcpy(PyArray_DATA((PyArrayObject *)copy), data,
               state->elements * cf_dtype_size(state->dtype));
    return copy;
}

static PyObject *trainer_state(PyObject *object, PyObject *unused) {
    py_trainer *self = (py_trainer *)object;
    (void)unused;
    if (!is_free(self))
        return NULL;
    cf_train_state state = cf_trainer_state(self->trainer);
    PyObject *dict = PyDict_New();
    bool done = dict != NULL;
    for (int i = 0; i < FIELDS && done; i++)
        done = put(dict, fields[i].name, field_value(state.progress, &fields[i]));
    for (int i = 0; i < 3 && done; i++)
        done = put(dict, arrays[i], copy_of(array_of(&state, i), &state));
    if (!done)
        Py_CLEAR(dict);
    return dict;
}

static bool read_field(PyObject *dict, const field *f, cf_train_progress *progress) {
    PyObject *value = PyDict_GetItemString(dict, f->name);
    char *at = (char *)progress + f->offset;
    if (value == NULL) {
        PyErr_Format(PyExc_ValueError, "the state has no %s", f->name);
        return false;
    }
    if (f->real) {
        double real = PyFloat_AsDouble(value);
        memcpy(at, &real, sizeof real);
    } else {
        uint64_t integer = PyLong_AsUnsignedLongLong(value);
        memcpy(at, &integer, sizeof integer);
    }
    return !PyErr_Occurred();
}

/* The array of that name, if it has the slab's size and dtype; borrowed. */
static PyArrayObject *read_array(PyObject *dict, const char *name, const cf_train_state *state) {
    PyObject *value = PyDict_GetItemString(dict, name);
    PyArrayObject *array = (PyArrayObject *)value;
    int type = state->dtype == CF_FLOAT32 ? NPY_FLOAT32 : NPY_FLOAT64;
    if (value != NULL && PyArray_Check(value) && PyArray_NDIM(array) == 1 &&
        (size_t)PyArray_DIM(array, 0) == state->elements && PyArray_TYPE(array) == type &&
        PyArray_ISCARRAY_RO(array))
        return array;
    PyErr_Format(PyExc_ValueError, "the state's %s must be %zu numbers of the flow's dtype", name,
                 state->elements);
    return NULL;
}

static PyObject *trainer_load_state(PyObject *object, PyObject *dict) {
    py_trainer *self = (py_trainer *)object;
    cf_train_progress progress = {0};
    PyArrayObject *values[3];
    if (!is_free(self))
        return NULL;
    if (!PyDict_Check(dict))
        return PyErr_Format(PyExc_TypeError, "the state must be a dict");
    cf_train_state state = cf_trainer_state(self->trainer);
    for (int i = 0; i < FIELDS; i++)
        if (!read_field(dict, &fields[i], &progress))
            return NULL;
    for (int i = 0; i < 3; i++)
        if ((values[i] = read_array(dict, arrays[i], &state)) == NULL)
            return NULL;
    for (int i = 0; i < 3; i++)
        memcpy(array_of(&state, i), PyArray_DATA(values[i]),
               state.elements * cf_dtype_size(state.dtype));
    *state.progress = progress;
    Py_RETURN_NONE;
}

static PyObject *trainer_restore_best(PyObject *object, PyObject *unused) {
    py_trainer *self = (py_trainer *)object;
    (void)unused;
    if (!is_free(self))
        return NULL;
    cf_trainer_restore_best(self->trainer);
    Py_RETURN_NONE;
}

static PyObject *trainer_close(PyObject *object, PyObject *unused) {
    py_trainer *self = (py_trainer *)object;
    (void)unused;
    if (self->running)
        return PyErr_Format(PyExc_RuntimeError, "the trainer is running");
    close_trainer(self);
    Py_RETURN_NONE;
}

PyObject *cf_py_split_rows(PyObject *module, PyObject *args) {
    unsigned long long count, seed;
    double fraction;
    int64_t *train, *validation;
    size_t train_rows, validation_rows;
    if (!PyArg_ParseTuple(args, "KdK:split_rows", &count, &fraction, &seed))
        return NULL;
    cf_status status = cf_data_split((size_t)count, fraction, seed, &train, &train_rows,
                                     &validation, &validation_rows);
    if (status != CF_OK)
        return cf_py_fail(PyModule_GetState(module), status);
    npy_intp sizes[2] = {(npy_intp)train_rows, (npy_intp)validation_rows};
    PyObject *a = PyArray_SimpleNew(1, &sizes[0], NPY_INT64);
    PyObject *b = PyArray_SimpleNew(1, &sizes[1], NPY_INT64);
    if (a != NULL && b != NULL) {
        memcpy(PyArray_DATA((PyArrayObject *)a), train, train_rows * sizeof *train);
        memcpy(PyArray_DATA((PyArrayObject *)b), validation, validation_rows * sizeof *validation);
    }
    cf_free(train);
    cf_free(validation);
    PyObject *pair = a != NULL && b != NULL ? PyTuple_Pack(2, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return pair;
}

static PyMethodDef methods[] = {
    {"epoch", trainer_epoch, METH_O,
     "epoch($self, poll, /)\n--\n\nOne epoch; poll(report, rows) or None is called every 100 ms."},
    {"state", trainer_state, METH_NOARGS,
     "state($self, /)\n--\n\nAll that the next epoch depends on."},
    {"load_state", trainer_load_state, METH_O,
     "load_state($self, state, /)\n--\n\nContinues from what state() gave."},
    {"restore_best", trainer_restore_best, METH_NOARGS,
     "restore_best($self, /)\n--\n\nPuts the best weights in place, if there was validation."},
    {"close", trainer_close, METH_NOARGS,
     "close($self, /)\n--\n\nLets go of the flow and the data."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     "Trainer(flow, train, validation, optimizer, schedule, epochs, batch_size, patience, "
     "clip_norm, jitter, seed)\n--\n\nThe epoch loop of `Flow.fit`, which says what its "
     "arguments mean."},
    {Py_tp_new, trainer_new},
    {Py_tp_dealloc, trainer_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cflows._core.Trainer",
    .basicsize = sizeof(py_trainer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

bool cf_py_add_trainer(PyObject *module) {
    PyTypeObject *type = cf_py_add_type(module, &spec, NULL);
    Py_XDECREF(type);
    return type != NULL;
}
