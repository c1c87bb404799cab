#include "bindings/one_method.h"

bool cf_py_enter_close(atomic_bool *busy) {
    if (!atomic_exchange(busy, true))
        return true;
    PyErr_SetString(PyExc_RuntimeError, "the trainer is running");
    return false;
}

bool cf_py_enter_method(atomic_bool *busy, const void *trainer) {
    if (!cf_py_enter_close(busy))
        return false;
    if (trainer != NULL)
        return true;
    cf_py_leave_method(busy);
    PyErr_SetString(PyExc_RuntimeError, "the trainer is closed");
    return false;
}

void cf_py_leave_method(atomic_bool *busy) {
    atomic_store(busy, false);
}
