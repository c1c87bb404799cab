/* Learning a density that is given: the class TargetTrainer. */
#include "bindings/training.h"

#include <string.h>

#include "bindings/arguments.h"
#include "bindings/arrays.h"

/* ---- life ---- */

enum { FLOW, CONTEXT, OPTIMIZER, SCHEDULE, STEPS, BATCH_SIZE, CLIP_NORM, SEED, ARGUMENTS };

static bool read_options(const cf_py_trainer *self, PyObject *const *given,
                         cf_training_options *loop, cf_draws_options *draws) {
    if (!cf_py_read_learning(self, given[OPTIMIZER], given[SCHEDULE], given[CLIP_NORM], NULL, loop))
        return false;
    draws->threads = loop->threads;
    return cf_py_count(given[STEPS], "steps", INT64_MAX, &draws->steps) &&
           cf_py_count(given[BATCH_SIZE], "batch_size", INT64_MAX, &draws->batch_size) &&
           cf_py_count(given[SEED], "seed", UINT64_MAX, &draws->seed);
}

/* Reads the contexts and keeps a view of the trainer's own, whose shape nobody else can set. */
static bool read_contexts(cf_py_trainer *self, PyObject *object, size_t features) {
    cf_py_rows *contexts = &self->contexts;
    if (!cf_py_read_context(object == Py_None ? NULL : object, features, contexts))
        return false;
    if (contexts->array == NULL)
        return true;
    PyObject *view = PyArray_View(contexts->array, NULL, &PyArray_Type);
    Py_SETREF(contexts->array, (PyArrayObject *)view);
    return view != NULL;
}

static bool begin(cf_py_trainer *self, cf_flow *flow, PyObject *const *given) {
    cf_training_options options;
    cf_draws_options draws = {.steps = 0};
    if (!read_options(self, given, &options, &draws) ||
        !read_contexts(self, given[CONTEXT], cf_flow_context_features(flow)))
        return false;
    draws.contexts = self->contexts.view;
    draws.context_rows = self->contexts.rows;
    cf_status status = cf_draws_new(&self->draws, flow, &draws);
    if (status != CF_OK)
        return cf_py_fail(self->state, status) != NULL;
    return cf_py_trainer_start(self, cf_draws_objective(self->draws), &options);
}

static PyObject *trainer_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"flow",       "context",   "optimizer", "schedule", "steps",
                            "batch_size", "clip_norm", "seed",      NULL};
    const cf_module_state *state = cf_py_state(type);
    PyObject *given[ARGUMENTS];
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(
            args, keywords, "O!OO!O!OOOO:TargetTrainer", names, state->flow, &given[FLOW],
            &given[CONTEXT], state->spec, &given[OPTIMIZER], state->spec, &given[SCHEDULE],
            &given[STEPS], &given[BATCH_SIZE], &given[CLIP_NORM], &given[SEED]))
        return NULL;
    cf_flow *flow = cf_py_flow_of(given[FLOW]);
    cf_py_trainer *self = flow == NULL ? NULL : cf_py_trainer_alloc(type, given[FLOW]);
    if (self != NULL && !begin(self, flow, given))
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---- the target ---- */

/* While a step runs: the thread's saved state, and what the target is called with. */
typedef struct {
    PyThreadState *saved;
    const cf_flow *flow;
    cf_dtype dtype; /* of the samples */
    PyObject *callable;
    PyArrayObject *contexts; /* borrowed; NULL: none */
} calling;

static PyObject *copy_of(int dims, const npy_intp *shape, int type, const void *data) {
    PyObject *array = PyArray_SimpleNew(dims, shape, type);
    if (array != NULL)
        memcpy(PyArray_DATA((PyArrayObject *)array), data,
               (size_t)PyArray_NBYTES((PyArrayObject *)array));
    return array;
}

/* The contexts of the samples, a row each. */
static PyObject *context_rows(const calling *c, npy_intp rows, const int64_t *numbers) {
    npy_intp last = PyArray_DIM(c->contexts, PyArray_NDIM(c->contexts) - 1);
    npy_intp shape[2] = {-1, last};
    PyArray_Dims whole = {shape, 2};
    PyObject *indices = copy_of(1, &rows, NPY_INT64, numbers);
    PyObject *table = PyArray_Newshape(c->contexts, &whole, NPY_CORDER);
    PyObject *taken = indices == NULL || table == NULL
                          ? NULL
                          : PyArray_TakeFrom((PyArrayObject *)table, indices, 0, NULL, NPY_RAISE);
    Py_XDECREF(indices);
    Py_XDECREF(table);
    return taken;
}

static PyObject *call_target(const calling *c, npy_intp rows, const void *x,
                             const int64_t *numbers) {
    npy_intp shape[1 + CF_PY_MAX_DIMS] = {rows};
    int dims = 1 + cf_py_dims(c->flow->shape, shape + 1);
    PyObject *samples = copy_of(dims, shape, cf_py_type_number(c->dtype), x);
    PyObject *context = samples == NULL || numbers == NULL ? NULL : context_rows(c, rows, numbers);
    PyObject *result = NULL;
    if (samples != NULL && (numbers == NULL || context != NULL))
        result = PyObject_CallFunctionObjArgs(c->callable, samples, context, NULL);
    Py_XDECREF(samples);
    Py_XDECREF(context);
    return result;
}

static void refuse_numbers(PyArrayObject *array, const char *what, int dims,
                           const npy_intp *shape) {
    PyObject *wanted = PyArray_IntTupleFromIntp(dims, shape);
    PyObject *got = PyArray_IntTupleFromIntp(PyArray_NDIM(array), PyArray_DIMS(array));
    if (wanted != NULL && got != NULL)
        PyErr_Format(PyExc_ValueError, "the target's %s must have shape %R, got %R", what, wanted,
                     got);
    Py_XDECREF(wanted);
    Py_XDECREF(got);
}

/* Copies numbers of the given shape; `what` they are, for messages. */
static bool copy_numbers(PyObject *object, const char *what, int dims, const npy_intp *shape,
                         double *out) {
    char name[64];
    snprintf(name, sizeof name, "the target's %s", what);
    PyArrayObject *given = cf_py_real_array(object, name);
    PyArrayObject *array = given == NULL
                               ? NULL
                               : (PyArrayObject *)PyArray_FROMANY((PyObject *)given, NPY_FLOAT64, 0,
                                                                  0, NPY_ARRAY_CARRAY_RO);
    Py_XDECREF(given);
    if (array == NULL)
        return false;
    bool fits =
        PyArray_NDIM(array) == dims && PyArray_CompareLists(PyArray_DIMS(array), shape, dims);
    if (fits)
        memcpy(out, PyArray_DATA(array), (size_t)PyArray_NBYTES(array));
    else
        refuse_numbers(array, what, dims, shape);
    Py_DECREF(array);
    return fits;
}

static bool copy_result(PyObject *result, npy_intp rows, cf_shape sample, double *log_density,
                        double *gradient) {
    npy_intp shape[1 + CF_PY_MAX_DIMS] = {rows};
    int dims = 1 + cf_py_dims(sample, shape + 1);
    if (result == NULL)
        return false;
    bool pair = PyTuple_Check(result) && PyTuple_GET_SIZE(result) == 2;
    PyObject *shown = pair ? NULL : cf_py_call("cflows.arguments", "shown", "(O)", result);
    if (shown != NULL)
        PyErr_Format(PyExc_TypeError,
                     "the target must return a tuple (log_density, gradient), got %S", shown);
    Py_XDECREF(shown);
    bool copied = pair &&
                  copy_numbers(PyTuple_GET_ITEM(result, 0), "log_density", 1, shape, log_density) &&
                  copy_numbers(PyTuple_GET_ITEM(result, 1), "gradient", dims, shape, gradient);
    Py_DECREF(result);
    return copied;
}

/* A cf_target: takes the GIL for the callable; false if an exception is set. */
static bool evaluate(void *given, size_t rows, const void *x, const int64_t *context_numbers,
                     double *log_density, double *gradient) {
    calling *c = given;
    PyEval_RestoreThread(c->saved);
    bool done = PyErr_CheckSignals() == 0 &&
                copy_result(call_target(c, (npy_intp)rows, x, context_numbers), (npy_intp)rows,
                            c->flow->shape, log_density, gradient);
    c->saved = PyEval_SaveThread();
    return done;
}

/* ---- methods ---- */

static PyObject *trainer_step(PyObject *object, PyObject *callable) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    calling c = {.callable = callable, .contexts = self->contexts.array};
    cf_step_report report;
    if (!cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    c.flow = cf_py_flow_of(self->model);
    c.dtype = cf_draws_dtype(self->draws);
    cf_draws_set_target(self->draws, evaluate, &c);
    c.saved = PyEval_SaveThread();
    cf_status status = cf_training_step(self->loop, &report);
    double size = cf_draws_effective_sample_size(self->draws);
    PyEval_RestoreThread(c.saved);
    cf_py_leave_method(&self->busy);
    if (status != CF_OK)
        return cf_py_fail(self->state, status);
    if (report.stopped)
        return NULL;
    return Py_BuildValue("(ddO)", -report.loss, size, report.skipped ? Py_True : Py_False);
}

/* ---- the class ---- */

PyDoc_STRVAR(trainer_doc,
             "TargetTrainer(flow, context, optimizer, schedule, steps, batch_size, clip_norm, "
             "seed)\n--\n\n"
             "The loop of `Flow.fit_target`, which says what its arguments mean.\n\n"
             "The trainer holds the flow.\n\n"
             "Parameters\n----------\n"
             "flow : Flow\n"
             "context : array_like or None\n"
             "optimizer : Optimizer\n"
             "schedule : Schedule\n"
             "steps, batch_size : int\n"
             "clip_norm : float\n"
             "seed : int");

PyDoc_STRVAR(step_doc, "step($self, target, /)\n--\n\n"
                       "Make one step.\n\n"
                       "Parameters\n----------\n"
                       "target : callable\n\n"
                       "Returns\n-------\n"
                       "elbo : float\n"
                       "effective_sample_size : float\n"
                       "skipped : bool");

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Let go of the flow.");

static PyMethodDef methods[] = {
    {"step", trainer_step, METH_O, step_doc},
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
    .name = "cflows._core.TargetTrainer",
    .basicsize = sizeof(cf_py_trainer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

bool cf_py_add_target_trainer(PyObject *module) {
    return cf_py_add_trainer_type(module, &trainer_spec);
}
