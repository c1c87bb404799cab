#include "api/matrix.h"

#include "base/status.h"
#include "simd/simd.h"

cf_status cf_matrix_read(cf_matrix matrix, const char *caller, const char *name, size_t columns,
                         cf_array *out) {
    if (matrix.columns != columns)
        return cf_fail(CF_INVALID, "%s: %s must have %zu columns, got %zu", caller, name, columns,
                       matrix.columns);
    if (matrix.dtype != CF_FLOAT32 && matrix.dtype != CF_FLOAT64)
        return cf_fail(CF_INVALID, "%s: %s must be of CF_FLOAT32 or CF_FLOAT64, got %d", caller,
                       name, (int)matrix.dtype);
    if (matrix.data == NULL && matrix.rows > 0)
        return cf_fail(CF_INVALID, "%s: %s of %zu rows is NULL", caller, name, matrix.rows);
    size_t size = cf_dtype_size(matrix.dtype);
    *out = (cf_array){.data = matrix.data,
                      .element = matrix.dtype == CF_FLOAT32 ? CF_FLOAT : CF_DOUBLE,
                      .row_stride = (ptrdiff_t)(columns * size),
                      .feature_stride = (ptrdiff_t)size};
    return CF_OK;
}

cf_status cf_context_read(cf_matrix context, const char *caller, size_t columns, size_t rows,
                          cf_array *out) {
    bool given = context.data != NULL || context.columns > 0;
    *out = (cf_array){0};
    if (!given && columns > 0)
        return cf_fail(CF_INVALID, "%s: the flow needs a context of %zu columns, got none", caller,
                       columns);
    if (given && columns == 0)
        return cf_fail(CF_INVALID, "%s: the flow has no context, got one of %zu columns", caller,
                       context.columns);
    if (!given)
        return CF_OK;
    if (context.rows != rows && context.rows != 1)
        return cf_fail(CF_INVALID, "%s: context must have %zu rows, as the points, or 1, got %zu",
                       caller, rows, context.rows);
    CF_TRY(cf_matrix_read(context, caller, "context", columns, out));
    if (context.rows == 1)
        out->row_stride = 0;
    return CF_OK;
}
