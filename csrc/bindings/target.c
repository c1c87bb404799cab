/* Learning a density that is given: the class TargetTrainer. */
#include "bindings/training.h"

#include "bindings/arguments.h"
#include "bindings/arrays.h"
#include "bindings/request.h"
#include "bindings/target_call.h"

/* ---- life ---- */

enum {
    FLOW,
    CONTEXT,
    OPTIMIZER,
    SCHEDULE,
    STEPS,
    BATCH_SIZE,
    CLIP_NORM,
    SEED,
    FORWARD,
    PATH,
    ARGUMENTS
};

static bool read_options(const cf_py_trainer *self, PyObject *const *given,
                         cf_training_options *loop, cf_draws_options *draws) {
    if (!cf_py_read_learning(self, given[OPTIMIZER], given[SCHEDULE], given[CLIP_NORM], NULL, loop))
        return false;
    int forward = PyObject_IsTrue(given[FORWARD]), path = PyObject_IsTrue(given[PATH]);
    draws->threads = loop->threads;
    draws->forward = forward > 0;
    draws->path_gradient = path > 0;
    return forward >= 0 && path >= 0 &&
           cf_py_count(given[STEPS], "steps", INT64_MAX, &draws->steps) &&
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
    static char *names[] = {"flow",    "context",       "optimizer", "schedule",
                            "steps",   "batch_size",    "clip_norm", "seed",
                            "forward", "path_gradient", NULL};
    const cf_module_state *state = cf_py_state(type);
    PyObject *given[ARGUMENTS] = {[FORWARD] = Py_False, [PATH] = Py_False};
    if (state == NULL || !PyArg_ParseTupleAndKeywords(
                             args, keywords, "O!OO!O!OOOO|OO:TargetTrainer", names, state->flow,
                             &given[FLOW], &given[CONTEXT], state->spec, &given[OPTIMIZER],
                             state->spec, &given[SCHEDULE], &given[STEPS], &given[BATCH_SIZE],
                             &given[CLIP_NORM], &given[SEED], &given[FORWARD], &given[PATH]))
        return NULL;
    cf_flow *flow = cf_py_flow_of(given[FLOW]);
    cf_py_trainer *self = flow == NULL ? NULL : cf_py_trainer_alloc(type, given[FLOW]);
    if (self != NULL && !begin(self, flow, given))
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---- methods ---- */

static PyObject *trainer_step(PyObject *object, PyObject *callable) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    cf_py_target_call c = {.callable = callable, .contexts = self->contexts.array};
    cf_step_report report;
    if (!cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    c.flow = cf_py_flow_of(self->model);
    c.dtype = cf_draws_dtype(self->draws);
    cf_draws_set_target(self->draws, cf_py_evaluate_target, &c);
    c.saved = PyEval_SaveThread();
    cf_status status = cf_training_step(self->loop, &report);
    cf_draws_report found = cf_draws_get_report(self->draws);
    PyEval_RestoreThread(c.saved);
    cf_py_leave_method(&self->busy);
    if (status != CF_OK)
        return cf_py_fail(self->state, status);
    if (report.stopped)
        return NULL;
    return Py_BuildValue("(ddddO)", report.loss, found.elbo, found.effective_sample_size,
                         found.log_evidence, report.skipped ? Py_True : Py_False);
}

static PyObject *new_numbers(int dims, const npy_intp *shape, int type, void *out) {
    PyObject *array = PyArray_SimpleNew(dims, shape, type);
    *(void **)out = array == NULL ? NULL : PyArray_DATA((PyArrayObject *)array);
    return array;
}

static PyObject *trainer_sample(PyObject *object, PyObject *args) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    unsigned long long first;
    Py_ssize_t rows;
    void *x;
    double *log_prob;
    if (!PyArg_ParseTuple(args, "Kn:sample", &first, &rows) ||
        !cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    npy_intp shape[1 + CF_PY_MAX_DIMS] = {rows};
    int dims = 1 + cf_py_dims(cf_py_flow_of(self->model)->shape, shape + 1);
    PyObject *samples =
        new_numbers(dims, shape, cf_py_type_number(cf_draws_dtype(self->draws)), &x);
    PyObject *numbers = new_numbers(1, shape, NPY_DOUBLE, &log_prob);
    cf_status status = CF_NO_MEMORY;
    if (samples != NULL && numbers != NULL) {
        Py_BEGIN_ALLOW_THREADS;
        status = cf_draws_sample(self->draws, first, (size_t)rows, x, log_prob);
        Py_END_ALLOW_THREADS;
        if (status != CF_OK)
            cf_py_fail(self->state, status);
    }
    cf_py_leave_method(&self->busy);
    return cf_py_pair(status == CF_OK, samples, numbers);
}

/* Runs cf_draws_score on rows that were read. */
static PyObject *score_rows(cf_py_trainer *self, const cf_py_rows *x, bool gradient) {
    npy_intp shape[1 + CF_PY_MAX_DIMS] = {(npy_intp)x->rows};
    int dims = 1 + cf_py_dims(cf_py_flow_of(self->model)->shape, shape + 1);
    double *score, *log_prob;
    PyObject *numbers = new_numbers(1, shape, NPY_DOUBLE, &log_prob);
    PyObject *vectors = new_numbers(gradient ? dims : 1, shape, NPY_DOUBLE, &score);
    cf_status status = CF_NO_MEMORY;
    if (numbers != NULL && vectors != NULL) {
        Py_BEGIN_ALLOW_THREADS;
        status = cf_draws_score(self->draws, x->view, x->rows, log_prob, gradient ? score : NULL);
        Py_END_ALLOW_THREADS;
        if (status != CF_OK)
            cf_py_fail(self->state, status);
    }
    if (gradient)
        return cf_py_pair(status == CF_OK, numbers, vectors);
    Py_XDECREF(vectors);
    if (status != CF_OK)
        Py_CLEAR(numbers);
    return numbers;
}

static PyObject *score(PyObject *object, PyObject *given, bool gradient) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    PyObject *result = NULL;
    cf_py_rows x;
    if (!cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    if (cf_py_read_rows(given, "x", cf_py_flow_of(self->model)->shape, &x)) {
        result = score_rows(self, &x, gradient);
        cf_py_release(&x);
    }
    cf_py_leave_method(&self->busy);
    return result;
}

static PyObject *trainer_log_prob(PyObject *object, PyObject *x) {
    return score(object, x, false);
}

static PyObject *trainer_score(PyObject *object, PyObject *x) {
    return score(object, x, true);
}

/* A step on rows that were read. */
static PyObject *follow_rows(cf_py_trainer *self, const cf_py_rows *x, PyArrayObject *weights) {
    cf_step_report report;
    cf_status status;
    cf_draws_set_rows(self->draws, x->view, x->rows, PyArray_DATA(weights));
    Py_BEGIN_ALLOW_THREADS;
    status = cf_training_step(self->loop, &report);
    Py_END_ALLOW_THREADS;
    cf_draws_set_rows(self->draws, (cf_array){0}, 0, NULL);
    if (status != CF_OK)
        return cf_py_fail(self->state, status);
    return Py_BuildValue("(dO)", report.loss, report.skipped ? Py_True : Py_False);
}

static PyObject *trainer_follow(PyObject *object, PyObject *args) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    PyObject *given[2], *result = NULL;
    cf_py_rows x;
    if (!PyArg_ParseTuple(args, "OO:follow", &given[0], &given[1]) ||
        !cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    PyArrayObject *weights =
        (PyArrayObject *)PyArray_FROMANY(given[1], NPY_FLOAT64, 1, 1, NPY_ARRAY_CARRAY_RO);
    if (weights != NULL && cf_py_read_rows(given[0], "x", cf_py_flow_of(self->model)->shape, &x)) {
        if (cf_py_check_rows(&x, "x", (size_t)PyArray_DIM(weights, 0)))
            result = follow_rows(self, &x, weights);
        cf_py_release(&x);
    }
    Py_XDECREF(weights);
    cf_py_leave_method(&self->busy);
    return result;
}

/* ---- the class ---- */

PyDoc_STRVAR(trainer_doc,
             "TargetTrainer(flow, context, optimizer, schedule, steps, batch_size, clip_norm, "
             "seed, forward=False, path_gradient=False)\n--\n\n"
             "The loop of `Flow.fit_target`, which says what its arguments mean.\n\n"
             "The trainer holds the flow.\n\n"
             "Parameters\n----------\n"
             "flow : Flow\n"
             "context : array_like or None\n"
             "optimizer : Optimizer\n"
             "schedule : Schedule\n"
             "steps, batch_size : int\n"
             "clip_norm : float\n"
             "seed : int\n"
             "forward : bool\n"
             "    Whether `step` minimises the forward divergence; else it is the reverse one.\n"
             "path_gradient : bool");

PyDoc_STRVAR(step_doc, "step($self, target, /)\n--\n\n"
                       "Make one step on samples of the flow.\n\n"
                       "Parameters\n----------\n"
                       "target : callable\n\n"
                       "Returns\n-------\n"
                       "loss : float\n"
                       "elbo : float\n"
                       "effective_sample_size : float\n"
                       "log_evidence : float\n"
                       "skipped : bool");

PyDoc_STRVAR(sample_doc, "sample($self, first, n, /)\n--\n\n"
                         "Samples of the flow.\n\n"
                         "Parameters\n----------\n"
                         "first : int\n"
                         "    The number of the first, by which they are drawn.\n"
                         "n : int\n\n"
                         "Returns\n-------\n"
                         "x : ndarray\n"
                         "log_prob : ndarray of float64");

PyDoc_STRVAR(log_prob_doc, "log_prob($self, x, /)\n--\n\n"
                           "The flow's log-density.\n\n"
                           "Parameters\n----------\n"
                           "x : array_like\n\n"
                           "Returns\n-------\n"
                           "ndarray of float64");

PyDoc_STRVAR(score_doc, "score($self, x, /)\n--\n\n"
                        "The flow's log-density and its gradient with respect to x.\n\n"
                        "Parameters\n----------\n"
                        "x : array_like\n\n"
                        "Returns\n-------\n"
                        "log_prob : ndarray of float64\n"
                        "score : ndarray of float64");

PyDoc_STRVAR(follow_doc, "follow($self, x, weights, /)\n--\n\n"
                         "Make one step that raises ``weights @ log_prob(x)``.\n\n"
                         "Parameters\n----------\n"
                         "x : array_like\n"
                         "weights : array_like, shape (n,)\n\n"
                         "Returns\n-------\n"
                         "loss : float\n"
                         "skipped : bool");

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Let go of the flow.");

static PyMethodDef methods[] = {
    {"step", trainer_step, METH_O, step_doc},
    {"sample", trainer_sample, METH_VARARGS, sample_doc},
    {"log_prob", trainer_log_prob, METH_O, log_prob_doc},
    {"score", trainer_score, METH_O, score_doc},
    {"follow", trainer_follow, METH_VARARGS, follow_doc},
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
