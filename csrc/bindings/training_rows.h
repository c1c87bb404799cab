/* The rows that a trainer reads: arrays with their context, weights and selection. */
#ifndef CF_BINDINGS_TRAINING_ROWS_H
#define CF_BINDINGS_TRAINING_ROWS_H

#include "bindings/arrays.h"
#include "model/function.h"
#include "train/data.h"

/* `data` with the arrays that it refers to. {0} is none. */
typedef struct {
    cf_py_rows x, context, u;
    PyArrayObject *weights, *index;
    cf_data data;
} cf_py_training_rows;

/* Reads a tuple (x, context, weights, index[, u]) for the inputs x, context and u of a loss. The
 * index selects rows of x, context and u, and there is one weight a selected row; all but x may be
 * None. It
 * must be released even after a failure. `name` is that of x, for messages. */
bool cf_py_read_training_rows(PyObject *tuple, const cf_function *loss, const char *name,
                              cf_py_training_rows *out);

void cf_py_release_training_rows(cf_py_training_rows *rows);

/* A contiguous vector of NumPy's given type; NULL for None. False if it cannot be one. */
bool cf_py_read_contiguous(PyObject *object, int type, PyArrayObject **out);

/* assignment(cost) -> columns: the permutation of the least cost. */
PyObject *cf_py_assignment(PyObject *module, PyObject *cost);

/* split_rows(rows, fraction, seed) -> (train, validation): arrays of row numbers, ascending. */
PyObject *cf_py_split_rows(PyObject *module, PyObject *args);

#endif
