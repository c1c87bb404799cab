/* Specs in Python: one class for each type of the registry, made from its table of options. */
#ifndef CF_BINDINGS_SPEC_H
#define CF_BINDINGS_SPEC_H

#include "bindings/module.h"
#include "base/spec.h"

/* Adds Spec, a class for each role and the registry's types to the module. */
bool cf_py_add_specs(PyObject *module);

/* The spec that `object` holds, borrowed; NULL, without an exception, if it is none. */
cf_spec *cf_py_spec_get(const cf_module_state *state, PyObject *object);

/* A Python object that holds `spec`; None for NULL. */
PyObject *cf_py_spec_wrap(const cf_module_state *state, cf_spec *spec);

/* Whether two specs are of one type and have the same values. */
bool cf_py_specs_equal(const cf_spec *a, const cf_spec *b);

/* Type(option=value, …), with the options that are not at their defaults. */
PyObject *cf_py_spec_repr(const cf_module_state *state, const cf_spec *spec);

/* All options and their values, a new dict. */
PyObject *cf_py_spec_options(const cf_module_state *state, const cf_spec *spec);

/* make_spec(type, options). */
PyObject *cf_py_make_spec(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

#endif
