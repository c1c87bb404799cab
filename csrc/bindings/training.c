#include "bindings/training.h"

#include "base/pool.h"
#include "bindings/spec.h"
#include "bindings/trainer_state.h"
#include "train/losses/criterion.h"
#include "train/losses/losses.h"

cf_py_trainer *cf_py_trainer_alloc(PyTypeObject *type, PyObject *model) {
    const cf_module_state *state = cf_py_state(type);
    if (state == NULL || cf_py_model_of(model) == NULL)
        return NULL;
    cf_py_trainer *self = (cf_py_trainer *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
        self->model = Py_NewRef(model);
    }
    return self;
}

bool cf_py_find_loss(const cf_py_trainer *self, PyObject *given, const cf_function **loss,
                     const cf_function **pairs) {
    const cf_py_contents *contents = &((cf_py_model *)self->model)->contents;
    const char *text = PyUnicode_Check(given) ? PyUnicode_AsUTF8(given) : NULL;
    const cf_spec *spec = cf_py_spec_get(self->state, given);
    cf_status status;
    *pairs = NULL;
    if (text == NULL && spec == NULL) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_TypeError, "loss must be a str or a Criterion, got %s",
                         Py_TYPE(given)->tp_name);
        return false;
    }
    if (spec != NULL && contents->flow == NULL)
        status = cf_fail(CF_INVALID, "%s is a loss of flows", cf_spec_type_of(spec)->name);
    else if (spec != NULL)
        status = cf_find_criterion(contents->flow, spec, loss, pairs);
    else
        status = cf_find_loss(contents->model, contents->flow, text, loss);
    if (status != CF_OK)
        cf_py_fail(self->state, status);
    return status == CF_OK;
}

bool cf_py_read_learning(const cf_py_trainer *self, PyObject *optimizer, PyObject *schedule,
                         PyObject *clip_norm, PyObject *ema, cf_training_options *out) {
    *out = (cf_training_options){.optimizer = cf_py_spec_get(self->state, optimizer),
                                 .schedule = cf_py_spec_get(self->state, schedule),
                                 .epochs = 1,
                                 .threads = cf_num_threads()};
    out->clip_norm = PyFloat_AsDouble(clip_norm);
    if (ema != NULL && !PyErr_Occurred())
        out->ema = PyFloat_AsDouble(ema);
    return !PyErr_Occurred();
}

bool cf_py_trainer_start(cf_py_trainer *self, cf_objective objective,
                         const cf_training_options *options) {
    cf_status status = cf_training_new(&self->loop, &objective, options);
    if (status != CF_OK)
        cf_py_fail(self->state, status);
    return status == CF_OK;
}

static void close_trainer(cf_py_trainer *self) {
    cf_training_free(self->loop);
    cf_rows_free(self->rows);
    cf_draws_free(self->draws);
    cf_batches_free(self->batches);
    self->loop = NULL;
    self->rows = NULL;
    self->draws = NULL;
    self->batches = NULL;
    cf_py_release_training_rows(&self->train);
    cf_py_release_training_rows(&self->validation);
    cf_py_release(&self->contexts);
}

void cf_py_trainer_dealloc(PyObject *object) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    PyTypeObject *type = Py_TYPE(object);
    close_trainer(self);
    Py_CLEAR(self->model);
    type->tp_free(object);
    Py_DECREF(type);
}

PyObject *cf_py_trainer_close(PyObject *object, PyObject *unused) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    (void)unused;
    if (!cf_py_enter_close(&self->busy))
        return NULL;
    close_trainer(self);
    cf_py_leave_method(&self->busy);
    Py_RETURN_NONE;
}

PyObject *cf_py_trainer_get_state(PyObject *object, PyObject *unused) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    (void)unused;
    if (!cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    PyObject *dict = cf_py_loop_state(self->loop);
    cf_py_leave_method(&self->busy);
    return dict;
}

PyObject *cf_py_trainer_set_state(PyObject *object, PyObject *state) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    if (!cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    bool done = cf_py_loop_load(self->state, self->loop, state);
    cf_py_leave_method(&self->busy);
    return done ? Py_NewRef(Py_None) : NULL;
}

const char cf_py_load_state_doc[] = PyDoc_STR("load_state($self, state, /)\n--\n\n"
                                              "Go on from what state() gave.\n\n"
                                              "Parameters\n----------\n"
                                              "state : dict");

PyObject *cf_py_trainer_finish(PyObject *object, PyObject *unused) {
    cf_py_trainer *self = (cf_py_trainer *)object;
    cf_status status;
    (void)unused;
    if (!cf_py_enter_method(&self->busy, self->loop))
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    status = cf_training_finish(self->loop);
    Py_END_ALLOW_THREADS;
    cf_py_leave_method(&self->busy);
    return status == CF_OK ? Py_NewRef(Py_None) : cf_py_fail(self->state, status);
}

bool cf_py_add_trainer_type(PyObject *module, PyType_Spec *spec) {
    PyTypeObject *type = cf_py_add_type(module, spec, NULL);
    Py_XDECREF(type);
    return type != NULL;
}
