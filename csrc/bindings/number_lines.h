/* Lines of text to numbers: the fast way for lines without anything odd. */
#ifndef CF_BINDINGS_NUMBER_LINES_H
#define CF_BINDINGS_NUMBER_LINES_H

#include "bindings/numpy.h"

/* number_lines(text, start, delimiter, decimal, cells, labels, missing) -> (rows, stop). */
PyObject *cf_py_number_lines(PyObject *module, PyObject *args);

#endif
