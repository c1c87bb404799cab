#include "bindings/operations.h"

#include <string.h>

#include "bindings/arguments.h"
#include "nn/operations.h"

PyObject *cf_py_nn_operations(PyObject *module, PyObject *unused) {
    PyObject *table = PyDict_New();
    (void)module;
    (void)unused;
    for (size_t i = 0; i < CF_OPERATIONS && table != NULL; i++) {
        const cf_operation_form *form = &cf_operation_forms[i];
        if (form->doc == NULL)
            continue;
        PyObject *entry = Py_BuildValue("(IIIss)", form->operands, form->integers, form->numbers,
                                        form->parameters, form->doc);
        if (entry == NULL || PyDict_SetItemString(table, form->name, entry) < 0)
            Py_CLEAR(table);
        Py_XDECREF(entry);
    }
    return table;
}

/* Reads a tuple of so many numbers, of which two have a sum. */
static bool read_numbers(PyObject *tuple, const char *what, unsigned count, size_t *out) {
    if (PyTuple_GET_SIZE(tuple) != count) {
        PyErr_Format(PyExc_ValueError, "%u %s expected, got %zd", count, what,
                     PyTuple_GET_SIZE(tuple));
        return false;
    }
    for (unsigned k = 0; k < count; k++) {
        uint64_t number;
        if (!cf_py_count(PyTuple_GET_ITEM(tuple, k), what, SIZE_MAX / 2, &number))
            return false;
        out[k] = (size_t)number;
    }
    return true;
}

PyObject *cf_py_nn_size(PyObject *module, PyObject *args) {
    const cf_declarations nothing = {0};
    size_t size[CF_MAX_OPERATION_OPERANDS] = {0}, integer[CF_MAX_INTEGERS] = {0};
    PyObject *sizes, *integers;
    const char *name;
    unsigned op;
    (void)module;
    if (!PyArg_ParseTuple(args, "sO!O!:nn_size", &name, &PyTuple_Type, &sizes, &PyTuple_Type,
                          &integers))
        return NULL;
    if (!cf_find_operation(name, strlen(name), &op)) {
        PyErr_Format(PyExc_ValueError, "there is no operation called '%s'", name);
        return NULL;
    }
    if (!read_numbers(sizes, "sizes", cf_operation_forms[op].operands, size) ||
        !read_numbers(integers, "integers", cf_operation_forms[op].integers, integer))
        return NULL;
    return PyLong_FromSize_t(cf_operation_size(op, &nothing, size, integer));
}
