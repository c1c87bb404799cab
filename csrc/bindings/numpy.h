/* Python and NumPy, included the same way everywhere. module.c alone defines CF_IMPORTS_NUMPY. */
#ifndef CF_BINDINGS_NUMPY_H
#define CF_BINDINGS_NUMPY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL cf_numpy_api
#ifndef CF_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#endif
