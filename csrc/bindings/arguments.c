#include "bindings/arguments.h"

#include <stdarg.h>
#include <string.h>

/* The index of a keyword; -1 if no parameter has that name. */
static Py_ssize_t find_name(const cf_py_signature *signature, PyObject *keyword) {
    for (Py_ssize_t i = 0; i < signature->count; i++)
        if (PyUnicode_CompareWithASCIIString(keyword, signature->names[i]) == 0)
            return i;
    return -1;
}

/* Says which name was meant. */
static bool refuse_keyword(const cf_py_signature *signature, PyObject *keyword) {
    PyObject *known = PyTuple_New(signature->count);
    for (Py_ssize_t i = 0; i < signature->count && known != NULL; i++) {
        PyObject *name = PyUnicode_FromString(signature->names[i]);
        if (name == NULL)
            Py_CLEAR(known);
        else
            PyTuple_SET_ITEM(known, i, name);
    }
    return cf_py_refuse_keyword(signature->function, keyword, known);
}

static bool read_keyword(const cf_py_signature *signature, PyObject *keyword, PyObject *value,
                         PyObject **out) {
    Py_ssize_t index = find_name(signature, keyword);
    if (index < 0)
        return refuse_keyword(signature, keyword);
    if (out[index] != NULL) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'",
                     signature->function, keyword);
        return false;
    }
    out[index] = value;
    return true;
}

bool cf_py_arguments(const cf_py_signature *signature, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames, PyObject **out) {
    if (nargs > signature->count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments, got %zd",
                     signature->function, signature->count, nargs);
        return false;
    }
    for (Py_ssize_t i = 0; i < signature->count; i++)
        out[i] = i < nargs ? args[i] : NULL;
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < keywords; k++)
        if (!read_keyword(signature, PyTuple_GET_ITEM(kwnames, k), args[nargs + k], out))
            return false;
    for (Py_ssize_t i = 0; i < signature->count; i++) {
        if (i < signature->required && out[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() is missing the argument '%s'", signature->function,
                         signature->names[i]);
            return false;
        }
        if (i >= signature->required && out[i] == Py_None)
            out[i] = NULL;
    }
    return true;
}

bool cf_py_refuse_keyword(const char *function, PyObject *keyword, PyObject *known) {
    if (known != NULL)
        Py_XDECREF(
            cf_py_call("cflows.arguments", "refuse_unknown", "s(O)N", function, keyword, known));
    return false;
}

PyObject *cf_py_call(const char *module, const char *function, const char *format, ...) {
    va_list list;
    va_start(list, format);
    PyObject *values = Py_VaBuildValue(format, list), *result = NULL;
    va_end(list);
    PyObject *imported = values == NULL ? NULL : PyImport_ImportModule(module);
    PyObject *callable = imported == NULL ? NULL : PyObject_GetAttrString(imported, function);
    if (callable != NULL)
        result = PyObject_CallObject(callable, values);
    Py_XDECREF(callable);
    Py_XDECREF(imported);
    Py_XDECREF(values);
    return result;
}

PyObject *cf_py_entry(PyObject *dict, const char *name, const char *what) {
    PyObject *key = PyUnicode_FromString(name);
    PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError(dict, key);
    Py_XDECREF(key);
    if (value == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "%s has no '%s'", what, name);
    return value;
}

bool cf_py_count(PyObject *object, const char *name, uint64_t max, uint64_t *out) {
    PyObject *integer = PyNumber_Index(object);
    if (integer == NULL) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer, got %s", name,
                     Py_TYPE(object)->tp_name);
        return false;
    }
    unsigned long long value = PyLong_AsUnsignedLongLong(integer);
    bool fits = !PyErr_Occurred() && value <= max;
    PyErr_Clear();
    if (!fits)
        PyErr_Format(PyExc_ValueError, "%s must be from 0 to %llu, got %S", name,
                     (unsigned long long)max, integer);
    Py_DECREF(integer);
    *out = value;
    return fits;
}

bool cf_py_seed(const cf_module_state *state, PyObject *object, uint64_t *out) {
    if (object != NULL && object != Py_None)
        return cf_py_count(object, "seed", UINT64_MAX, out);
    PyObject *bytes = PyObject_CallFunction(state->urandom, "i", (int)sizeof *out);
    if (bytes == NULL)
        return false;
    memcpy(out, PyBytes_AS_STRING(bytes), sizeof *out);
    Py_DECREF(bytes);
    *out &= INT64_MAX;
    return true;
}

bool cf_py_dtype(PyObject *object, cf_dtype *out) {
    PyArray_Descr *descr = NULL;
    if (object != Py_None && !PyArray_DescrConverter(object, &descr))
        return false;
    bool native = descr != NULL && PyArray_ISNBO(descr->byteorder);
    bool known = native && (descr->type_num == NPY_FLOAT || descr->type_num == NPY_DOUBLE);
    if (known)
        *out = descr->type_num == NPY_FLOAT ? CF_FLOAT32 : CF_FLOAT64;
    else
        PyErr_Format(PyExc_ValueError, "dtype must be 'float32' or 'float64', got %R", object);
    Py_XDECREF(descr);
    return known;
}

int cf_py_type_number(cf_dtype dtype) {
    return dtype == CF_FLOAT32 ? NPY_FLOAT : NPY_DOUBLE;
}
