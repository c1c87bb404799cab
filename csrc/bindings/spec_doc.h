/* Docstrings and signatures from tables of options. */
#ifndef CF_BINDINGS_SPEC_DOC_H
#define CF_BINDINGS_SPEC_DOC_H

#include "bindings/module.h"
#include "base/spec.h"

/* What the option may be, in Python's words: "float or sequence of float or None". */
PyObject *cf_py_option_kinds(const cf_option *option);

/* The class that a role is: "Conditioner". */
PyObject *cf_py_role_name(const char *role);

/* A NumPy-style docstring, the signature in front as CPython wants it. */
PyObject *cf_py_spec_doc(const cf_module_state *state, const cf_spec_type *type);

#endif
