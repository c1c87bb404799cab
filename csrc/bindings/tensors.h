/* Named tensors of a slab as arrays. */
#ifndef CF_BINDINGS_TENSORS_H
#define CF_BINDINGS_TENSORS_H

#include "bindings/module.h"
#include "model/binding.h"

/* A new dict of name -> writable array that is a view on the slab; `owner` keeps it in memory. */
PyObject *cf_py_tensors(const cf_slab_table *table, void *slab, int type_number, PyObject *owner);

/* Writes all arrays of the dict `from` into those of `to`: the same names, shapes and dtypes, else
 * ValueError, with nothing written. `what` is what they are. */
bool cf_py_set_tensors(PyObject *to, PyObject *from, const char *what);

#endif
