/* The extension module `cflows._core`: its state, and how failures become exceptions.
 *
 * In all of csrc/bindings a function that returns bool or a pointer returns false or NULL when it
 * fails, with a Python exception set.
 */
#ifndef CF_BINDINGS_MODULE_H
#define CF_BINDINGS_MODULE_H

/* Python.h must come before the standard headers. */
#include "bindings/numpy.h"

#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct {
    PyObject *numerical_error; /* cflows.NumericalError */
    PyObject *urandom;         /* os.urandom */
    PyObject *new_object;      /* copyreg.__newobj__ */
    PyObject *cotangents;      /* cflows.Cotangents */
    PyTypeObject *spec, *layer, *permutation, *model, *flow;
    const struct cf_spec_type **types; /* those of both registries, then NULL */
    PyObject *spec_types;              /* tuple of their classes */
    cf_arena arena;                    /* what the types refer to */
} cf_module_state;

/* The state of the module that `type`, or a class it derives from, belongs to. */
cf_module_state *cf_py_state(PyTypeObject *type);

/* Sets the exception that `status` stands for, with this thread's message. Returns NULL. */
PyObject *cf_py_fail(const cf_module_state *state, cf_status status);

/* Creates a type of the module and adds it under its name; a new reference. */
PyTypeObject *cf_py_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base);

#endif
