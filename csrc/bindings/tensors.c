#include "bindings/tensors.h"

static PyObject *new_view(const cf_tensor *tensor, void *slab, int type_number, PyObject *owner) {
    npy_intp shape[CF_MAX_DIMS];
    for (size_t i = 0; i < tensor->dims; i++)
        shape[i] = (npy_intp)tensor->shape[i];
    size_t element = type_number == NPY_FLOAT ? sizeof(float) : sizeof(double);
    PyObject *view = PyArray_SimpleNewFromData((int)tensor->dims, shape, type_number,
                                               (char *)slab + tensor->offset * element);
    /* The reference to the base is stolen, even on failure. */
    if (view != NULL && PyArray_SetBaseObject((PyArrayObject *)view, Py_NewRef(owner)) < 0)
        Py_CLEAR(view);
    return view;
}

PyObject *cf_py_tensors(const cf_slab_table *table, void *slab, int type_number, PyObject *owner) {
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < table->count; i++) {
        PyObject *view = new_view(&table->tensors[i], slab, type_number, owner);
        if (view == NULL || PyDict_SetItemString(dict, table->tensors[i].name, view) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(view);
    }
    return dict;
}

/* Whether `array` can stand for `view`. */
static bool fits(PyObject *array, PyArrayObject *view) {
    if (array == NULL || !PyArray_Check(array))
        return false;
    PyArrayObject *given = (PyArrayObject *)array;
    return PyArray_SAMESHAPE(given, view) && PyArray_TYPE(given) == PyArray_TYPE(view);
}

bool cf_py_set_tensors(PyObject *to, PyObject *from, const char *what) {
    PyObject *name, *view;
    Py_ssize_t position = 0;
    if (!PyDict_Check(from) || PyDict_GET_SIZE(from) != PyDict_GET_SIZE(to)) {
        PyErr_Format(PyExc_ValueError, "the %s must be a dict of %zd arrays, got %.200R", what,
                     PyDict_GET_SIZE(to), from);
        return false;
    }
    while (PyDict_Next(to, &position, &name, &view))
        if (!fits(PyDict_GetItemWithError(from, name), (PyArrayObject *)view)) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_ValueError, "the %s must have %U, of the flow's shape and dtype",
                             what, name);
            return false;
        }
    for (position = 0; PyDict_Next(to, &position, &name, &view);) {
        PyObject *array = PyDict_GetItemWithError(from, name);
        if (!fits(array, (PyArrayObject *)view) ||
            PyArray_CopyInto((PyArrayObject *)view, (PyArrayObject *)array) < 0)
            return false;
    }
    return true;
}
