/* The caller's arrays, read in place, and new arrays for results. */
#ifndef CF_BINDINGS_ARRAYS_H
#define CF_BINDINGS_ARRAYS_H

#include "bindings/module.h"

#include "base/shape.h"
#include "engine/array.h"
#include "engine/run.h"

/* A caller's array while it is read. {0} is none. */
typedef struct {
    PyArrayObject *array; /* NULL: none */
    cf_array view;
    size_t rows;
} cf_py_rows;

/* The dimensions of a sample: (features,) or (channels, height, width); returns how many. */
enum { CF_PY_MAX_DIMS = 3 };
int cf_py_dims(cf_shape shape, npy_intp *dims);

/* A new tuple of them; and the shape that an object stands for. */
PyObject *cf_py_shape_tuple(cf_shape shape);
bool cf_py_shape(PyObject *object, const char *name, cf_shape *out);

/* An array of shape (n, ...) of samples. Any real element type, strides, byte order and alignment
 * are read in place; array-likes are converted by NumPy. `name` is the argument's, for messages. */
bool cf_py_read_rows(PyObject *object, const char *name, cf_shape shape, cf_py_rows *out);

/* An array of shape (n,): rows of one feature. */
bool cf_py_read_vector(PyObject *object, const char *name, cf_py_rows *out);

/* The context of a flow with `features` context features: shape (m, features), or (features,) for
 * one row. NULL is none, which alone fits a flow without context. */
bool cf_py_read_context(PyObject *object, size_t features, cf_py_rows *out);

/* Fits a context to `rows` samples: as many rows, or one for all. */
bool cf_py_spread_context(cf_py_rows *context, size_t rows);

/* The array of real numbers that the package makes of anything, masked arrays and tables among it:
 * a new reference, or NULL with an exception that calls it `name`. */
PyArrayObject *cf_py_real_array(PyObject *object, const char *name);

/* False, saying so, unless there are `rows` rows. */
bool cf_py_check_rows(const cf_py_rows *array, const char *name, size_t rows);

void cf_py_release(cf_py_rows *rows);

#endif
