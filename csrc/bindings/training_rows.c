#include "bindings/training_rows.h"

#include "base/assignment.h"
#include "base/memory.h"
#include "bindings/arguments.h"
#include "train/optimizers/chunks.h"

#include <string.h>

bool cf_py_read_contiguous(PyObject *object, int type, PyArrayObject **out) {
    *out = NULL;
    if (object == Py_None)
        return true;
    *out = (PyArrayObject *)PyArray_FROMANY(object, type, 1, 1, NPY_ARRAY_IN_ARRAY);
    return *out != NULL;
}

/* Selects rows of the arrays, all of which must exist. */
static bool select_rows(cf_py_training_rows *rows) {
    if (rows->index == NULL)
        return true;
    const int64_t *index = PyArray_DATA(rows->index);
    for (npy_intp i = 0; i < PyArray_DIM(rows->index, 0); i++)
        if (index[i] < 0 || (size_t)index[i] >= rows->x.rows) {
            PyErr_Format(PyExc_ValueError, "row number %lld of an array of %zu rows",
                         (long long)index[i], rows->x.rows);
            return false;
        }
    rows->data.rows = (size_t)PyArray_DIM(rows->index, 0);
    rows->data.x.index = index;
    if (rows->context.array != NULL)
        rows->data.context.index = index;
    if (rows->u.array != NULL)
        rows->data.u.index = index;
    return true;
}

/* Reads the points u of the base that belong to the rows, if there are any. */
static bool read_u(PyObject *u, const cf_function *loss, cf_py_training_rows *out) {
    const cf_port *port = cf_function_input_port(loss, "u");
    if (u == Py_None)
        return true;
    if (!cf_is_port(port)) {
        PyErr_Format(PyExc_ValueError, "the loss %s does not read u, points of the base",
                     loss->name);
        return false;
    }
    if (!cf_py_read_rows(u, "u", port->shape, &out->u))
        return false;
    out->data.u = out->u.view;
    out->data.u_features = cf_shape_features(port->shape);
    if (out->u.rows == out->x.rows)
        return true;
    PyErr_Format(PyExc_ValueError, "u must have a point for each of the %zu rows of x, got %zu",
                 out->x.rows, out->u.rows);
    return false;
}

static bool attach_weights(cf_py_training_rows *rows) {
    if (rows->weights == NULL)
        return true;
    rows->data.weights = PyArray_DATA(rows->weights);
    if ((size_t)PyArray_DIM(rows->weights, 0) == rows->data.rows)
        return true;
    PyErr_Format(PyExc_ValueError, "weights must have shape (%zu,), one a row, got (%zd,)",
                 rows->data.rows, (Py_ssize_t)PyArray_DIM(rows->weights, 0));
    return false;
}

bool cf_py_read_training_rows(PyObject *tuple, const cf_function *loss, const char *name,
                              cf_py_training_rows *out) {
    const cf_port *x_port = cf_function_input_port(loss, "x");
    size_t context_features = cf_function_input_features(loss, "context");
    PyObject *x, *context, *weights, *index, *u = Py_None;
    if (!PyArg_ParseTuple(tuple, "OOOO|O", &x, &context, &weights, &index, &u) ||
        !cf_py_read_rows(x, name, x_port->shape, &out->x) ||
        !cf_py_read_context(context == Py_None ? NULL : context, context_features, &out->context) ||
        !cf_py_spread_context(&out->context, out->x.rows) ||
        !cf_py_read_contiguous(weights, NPY_FLOAT64, &out->weights) ||
        !cf_py_read_contiguous(index, NPY_INT64, &out->index))
        return false;
    out->data = (cf_data){.rows = out->x.rows, .x = out->x.view, .context = out->context.view};
    return read_u(u, loss, out) && select_rows(out) && attach_weights(out);
}

void cf_py_release_training_rows(cf_py_training_rows *rows) {
    cf_py_release(&rows->x);
    cf_py_release(&rows->context);
    cf_py_release(&rows->u);
    Py_CLEAR(rows->weights);
    Py_CLEAR(rows->index);
}

/* A new array of row numbers. */
static PyObject *new_index(const int64_t *rows, size_t count) {
    npy_intp size = (npy_intp)count;
    PyObject *array = PyArray_SimpleNew(1, &size, NPY_INT64);
    if (array != NULL)
        memcpy(PyArray_DATA((PyArrayObject *)array), rows, count * sizeof *rows);
    return array;
}

PyObject *cf_py_assignment(PyObject *module, PyObject *cost) {
    npy_intp size;
    PyArrayObject *matrix =
        (PyArrayObject *)PyArray_FROMANY(cost, NPY_FLOAT64, 2, 2, NPY_ARRAY_IN_ARRAY);
    if (matrix == NULL)
        return NULL;
    size = PyArray_DIM(matrix, 0);
    PyObject *columns = PyArray_SimpleNew(1, &size, NPY_INT64);
    cf_status status = CF_OK;
    if (PyArray_DIM(matrix, 1) != size)
        status = cf_fail(CF_INVALID, "cost must be a square matrix");
    else if (!cf_all_finite(PyArray_DATA(matrix), (size_t)size * (size_t)size, CF_FLOAT64))
        status = cf_fail(CF_INVALID, "cost must be finite");
    else if (columns != NULL)
        status =
            cf_assign((size_t)size, PyArray_DATA(matrix), PyArray_DATA((PyArrayObject *)columns));
    Py_DECREF(matrix);
    if (status == CF_OK)
        return columns;
    Py_XDECREF(columns);
    return cf_py_fail(PyModule_GetState(module), status);
}

PyObject *cf_py_split_rows(PyObject *module, PyObject *args) {
    PyObject *sample_count, *seed_number, *pair = NULL;
    uint64_t rows, seed;
    double fraction;
    int64_t *train, *validation;
    size_t train_rows, validation_rows;
    if (!PyArg_ParseTuple(args, "OdO:split_rows", &sample_count, &fraction, &seed_number) ||
        !cf_py_count(sample_count, "rows", NPY_MAX_INTP, &rows) ||
        !cf_py_count(seed_number, "seed", UINT64_MAX, &seed))
        return NULL;
    cf_status status = cf_data_split((size_t)rows, fraction, seed, &train, &train_rows, &validation,
                                     &validation_rows);
    if (status != CF_OK)
        return cf_py_fail(PyModule_GetState(module), status);
    PyObject *first = new_index(train, train_rows);
    PyObject *second = new_index(validation, validation_rows);
    if (first != NULL && second != NULL)
        pair = PyTuple_Pack(2, first, second);
    cf_free(train);
    cf_free(validation);
    Py_XDECREF(first);
    Py_XDECREF(second);
    return pair;
}
