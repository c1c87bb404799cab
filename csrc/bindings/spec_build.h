/* Specs from the arguments of a Python call. */
#ifndef CF_BINDINGS_SPEC_BUILD_H
#define CF_BINDINGS_SPEC_BUILD_H

#include "bindings/module.h"
#include "base/spec.h"

/* A finished spec, to be released: options by position in a tuple, or NULL, and by name in a dict,
 * or NULL. */
cf_spec *cf_py_spec_build(const cf_module_state *state, const cf_spec_type *type, PyObject *args,
                          PyObject *keywords);

#endif
