#include "bindings/trainer_state.h"

#include "bindings/arguments.h"

#include <stddef.h>
#include <string.h>

/* A number of the progress, and its name. */
typedef struct {
    const char *name;
    size_t offset;
} field;

static const field counts[] = {
    {"epoch", offsetof(cf_training_progress, epoch)},
    {"step", offsetof(cf_training_progress, step)},
    {"rows_drawn", offsetof(cf_training_progress, rows_drawn)},
    {"skipped", offsetof(cf_training_progress, skipped)},
    {"skipped_in_a_row", offsetof(cf_training_progress, skipped_in_a_row)},
    {"best_epoch", offsetof(cf_training_progress, best_epoch)},
    {"waited", offsetof(cf_training_progress, waited)},
    {"has_best", offsetof(cf_training_progress, has_best)},
    {"plateau_waited", offsetof(cf_training_progress, plateau.waited)},
};

static const field reals[] = {
    {"best_loss", offsetof(cf_training_progress, best_loss)},
    {"plateau_best", offsetof(cf_training_progress, plateau.best)},
    {"plateau_factor", offsetof(cf_training_progress, plateau.factor)},
};

typedef struct {
    const char *name;
    void *data;
    size_t elements;
    cf_dtype dtype;
} array;

enum {
    COUNTS = sizeof counts / sizeof *counts,
    REALS = sizeof reals / sizeof *reals,
    MAX_ARRAYS = CF_MAX_STATE_ARRAYS + 3,
};

/* Returns how many there are. */
static size_t list_arrays(const cf_training_state *s, array out[MAX_ARRAYS]) {
    cf_state_array optimizer[CF_MAX_STATE_ARRAYS];
    size_t count = cf_optimizer_arrays(s->optimizer, optimizer);
    for (size_t i = 0; i < count; i++)
        out[i] = (array){optimizer[i].name, optimizer[i].data, s->elements, s->dtype};
    if (s->best != NULL) {
        out[count++] = (array){"best", s->best, s->elements, s->dtype};
        out[count++] = (array){"best_buffers", s->best_buffers, s->buffer_elements, CF_FLOAT64};
    }
    if (s->average != NULL)
        out[count++] = (array){"average", s->average, s->elements, CF_FLOAT64};
    return count;
}

static size_t array_bytes(const array *a) {
    return a->elements * cf_dtype_size(a->dtype);
}

/* ---- out ---- */

/* Adds a new reference to the dict. */
static bool put(PyObject *dict, const char *name, PyObject *value) {
    bool done = value != NULL && PyDict_SetItemString(dict, name, value) == 0;
    Py_XDECREF(value);
    return done;
}

static PyObject *copy_of(const array *a) {
    npy_intp size = (npy_intp)a->elements;
    PyObject *copy = PyArray_SimpleNew(1, &size, cf_py_type_number(a->dtype));
    if (copy != NULL)
        memcpy(PyArray_DATA((PyArrayObject *)copy), a->data, array_bytes(a));
    return copy;
}

static bool fill(PyObject *dict, const cf_training_state *state) {
    const char *progress = (const char *)state->progress;
    array arrays[MAX_ARRAYS];
    size_t array_count = list_arrays(state, arrays);
    bool done = true;
    for (size_t i = 0; i < COUNTS && done; i++) {
        uint64_t count;
        memcpy(&count, progress + counts[i].offset, sizeof count);
        done = put(dict, counts[i].name, PyLong_FromUnsignedLongLong(count));
    }
    for (size_t i = 0; i < REALS && done; i++) {
        double real;
        memcpy(&real, progress + reals[i].offset, sizeof real);
        done = put(dict, reals[i].name, PyFloat_FromDouble(real));
    }
    for (size_t i = 0; i < array_count && done; i++)
        done = put(dict, arrays[i].name, copy_of(&arrays[i]));
    return done;
}

PyObject *cf_py_loop_state(cf_training *loop) {
    cf_training_state state = cf_training_get_state(loop);
    PyObject *dict = PyDict_New();
    if (dict != NULL && !fill(dict, &state))
        Py_CLEAR(dict);
    return dict;
}

/* ---- in ---- */

static PyObject *entry(PyObject *dict, const char *name) {
    return cf_py_entry(dict, name, "the state of the training");
}

static bool read_numbers(PyObject *dict, cf_training_progress *progress) {
    for (size_t i = 0; i < COUNTS; i++) {
        PyObject *value = entry(dict, counts[i].name);
        uint64_t count;
        if (value == NULL || !cf_py_count(value, counts[i].name, UINT64_MAX, &count))
            return false;
        memcpy((char *)progress + counts[i].offset, &count, sizeof count);
    }
    for (size_t i = 0; i < REALS; i++) {
        PyObject *value = entry(dict, reals[i].name);
        double real = value == NULL ? 0.0 : PyFloat_AsDouble(value);
        if (PyErr_Occurred())
            return false;
        memcpy((char *)progress + reals[i].offset, &real, sizeof real);
    }
    return true;
}

/* The numbers that the dict has for an array; they live as long as the dict. */
static const void *read_array(PyObject *dict, const array *a) {
    PyObject *value = entry(dict, a->name);
    if (value == NULL)
        return NULL;
    PyArrayObject *given = (PyArrayObject *)value;
    if (PyArray_Check(value) && PyArray_NDIM(given) == 1 &&
        (size_t)PyArray_DIM(given, 0) == a->elements &&
        PyArray_TYPE(given) == cf_py_type_number(a->dtype) && PyArray_ISCARRAY_RO(given))
        return PyArray_DATA(given);
    PyErr_Format(PyExc_ValueError, "%s must be %zu numbers of type %s", a->name, a->elements,
                 a->dtype == CF_FLOAT32 ? "float32" : "float64");
    return NULL;
}

bool cf_py_loop_load(const cf_module_state *module, cf_training *loop, PyObject *dict) {
    cf_training_state state = cf_training_get_state(loop);
    cf_training_progress progress = {0};
    const void *values[MAX_ARRAYS];
    array arrays[MAX_ARRAYS];
    if (!PyDict_Check(dict)) {
        PyErr_Format(PyExc_TypeError, "the state of a training is a dict, got %s",
                     Py_TYPE(dict)->tp_name);
        return false;
    }
    if (!read_numbers(dict, &progress))
        return false;
    cf_status status = cf_training_check(loop, &progress);
    if (status != CF_OK)
        return cf_py_fail(module, status) != NULL;
    size_t array_count = list_arrays(&state, arrays);
    for (size_t i = 0; i < array_count; i++)
        if ((values[i] = read_array(dict, &arrays[i])) == NULL)
            return false;
    for (size_t i = 0; i < array_count; i++)
        memcpy(arrays[i].data, values[i], array_bytes(&arrays[i]));
    *state.progress = progress;
    return true;
}
