/* Calls of a target in Python. */
#include "bindings/target_call.h"

#include <stdio.h>
#include <string.h>

#include "bindings/arguments.h"
#include "bindings/arrays.h"

static PyObject *copy_of(int dims, const npy_intp *shape, int type, const void *data) {
    PyObject *array = PyArray_SimpleNew(dims, shape, type);
    if (array != NULL)
        memcpy(PyArray_DATA((PyArrayObject *)array), data,
               (size_t)PyArray_NBYTES((PyArrayObject *)array));
    return array;
}

/* The contexts of the samples, a row each. */
static PyObject *context_rows(const cf_py_target_call *c, npy_intp rows, const int64_t *numbers) {
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

static PyObject *call_target(const cf_py_target_call *c, npy_intp rows, const void *x,
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

static bool copy_pair(PyObject *result, npy_intp rows, cf_shape sample, double *log_density,
                      double *gradient) {
    npy_intp shape[1 + CF_PY_MAX_DIMS] = {rows};
    int dims = 1 + cf_py_dims(sample, shape + 1);
    bool pair = PyTuple_Check(result) && PyTuple_GET_SIZE(result) == 2;
    PyObject *shown = pair ? NULL : cf_py_call("cflows.arguments", "shown", "(O)", result);
    if (shown != NULL)
        PyErr_Format(PyExc_TypeError,
                     "the target must return a tuple (log_density, gradient), got %S; without a "
                     "gradient, fit by loss='forward_kl' or 'alpha'",
                     shown);
    Py_XDECREF(shown);
    return pair &&
           copy_numbers(PyTuple_GET_ITEM(result, 0), "log_density", 1, shape, log_density) &&
           copy_numbers(PyTuple_GET_ITEM(result, 1), "gradient", dims, shape, gradient);
}

/* Where no gradient is needed (NULL), log_density may come alone. */
static bool copy_result(PyObject *result, npy_intp rows, cf_shape sample, double *log_density,
                        double *gradient) {
    if (result == NULL)
        return false;
    bool pair = PyTuple_Check(result) && PyTuple_GET_SIZE(result) == 2;
    bool copied = gradient != NULL ? copy_pair(result, rows, sample, log_density, gradient)
                                   : copy_numbers(pair ? PyTuple_GET_ITEM(result, 0) : result,
                                                  "log_density", 1, &rows, log_density);
    Py_DECREF(result);
    return copied;
}

bool cf_py_evaluate_target(void *given, size_t rows, const void *x, const int64_t *context_numbers,
                           double *log_density, double *gradient) {
    cf_py_target_call *c = given;
    PyEval_RestoreThread(c->saved);
    bool done = PyErr_CheckSignals() == 0 &&
                copy_result(call_target(c, (npy_intp)rows, x, context_numbers), (npy_intp)rows,
                            c->flow->shape, log_density, gradient);
    c->saved = PyEval_SaveThread();
    return done;
}
