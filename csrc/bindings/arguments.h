/* Arguments of methods: names, and the plain values among them. */
#ifndef CF_BINDINGS_ARGUMENTS_H
#define CF_BINDINGS_ARGUMENTS_H

#include "bindings/module.h"

#include <stdint.h>

#include "simd/simd.h"

typedef struct {
    const char *function;
    const char *const *names;
    Py_ssize_t count, required;
} cf_py_signature;

/* out[i] = the argument called names[i], borrowed; NULL where an optional one is missing or None.
 */
bool cf_py_arguments(const cf_py_signature *signature, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames, PyObject **out);

/* What a function of the package returns, its arguments a tuple of Py_BuildValue: a new reference,
 * or NULL with an exception. */
PyObject *cf_py_call(const char *module, const char *function, const char *format, ...);

/* TypeError about a keyword, which says what was meant of the known names: a tuple, whose reference
 * it takes; NULL is an exception already. Returns false. */
bool cf_py_refuse_keyword(const char *function, PyObject *keyword, PyObject *known);

/* The entry of a dict, borrowed; ValueError, saying of what, if there is none. */
PyObject *cf_py_entry(PyObject *dict, const char *name, const char *what);

/* An integer from 0 to `max`. */
bool cf_py_count(PyObject *object, const char *name, uint64_t max, uint64_t *out);

/* A seed, 0 to 2^64 - 1; NULL or None: 63 bits of the operating system's entropy. */
bool cf_py_seed(const cf_module_state *state, PyObject *object, uint64_t *out);

/* Anything that NumPy understands as float32 or float64. */
bool cf_py_dtype(PyObject *object, cf_dtype *out);

/* NumPy's number of a dtype. */
int cf_py_type_number(cf_dtype dtype);

#endif
