/* The caller's matrices as rows that programs read. */
#ifndef CF_API_MATRIX_H
#define CF_API_MATRIX_H

#include "cflows.h"
#include "engine/array.h"

/* *out = the rows of `matrix`, which is called `name` in messages of `caller`. CF_INVALID unless it
 * has `columns` columns, and numbers. */
cf_status cf_matrix_read(cf_matrix matrix, const char *caller, const char *name, size_t columns,
                         cf_array *out);

/* The same for the context of `rows` points, with a row for each or one for all. *out is none, its
 * data NULL, if there is no context and `columns` is 0; else both are CF_INVALID. */
cf_status cf_context_read(cf_matrix context, const char *caller, size_t columns, size_t rows,
                          cf_array *out);

#endif
