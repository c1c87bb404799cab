/* The caller's arrays: any element type, byte order, alignment and strides. */
#ifndef CF_ENGINE_ARRAY_H
#define CF_ENGINE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    CF_BOOL,
    CF_INT8,
    CF_UINT8,
    CF_INT16,
    CF_UINT16,
    CF_INT32,
    CF_UINT32,
    CF_INT64,
    CF_UINT64,
    CF_HALF,
    CF_FLOAT,
    CF_DOUBLE,
    CF_LONG_DOUBLE,
} cf_element;

/* Rows that a program reads: any element type, byte order, alignment and strides. */
typedef struct {
    const void *data;
    cf_element element;
    bool swapped;                         /* of the other byte order */
    ptrdiff_t row_stride, feature_stride; /* in bytes; row_stride 0 repeats one row */
    /* Images with other strides: a line is `line` features at feature_stride; lines follow each
     * other at line_stride and channels at channel_stride, in bytes. 0: features are equally
     * spaced. */
    size_t line, lines;
    ptrdiff_t line_stride, channel_stride;
    const int64_t *index; /* row i is data row index[i]; NULL: row i */
    size_t repeat;        /* rows i to i + repeat - 1 are the same data row; 0: 1 */
} cf_array;

/* Contiguous rows of `columns` float64 numbers. */
static inline cf_array cf_double_rows(const double *data, size_t columns) {
    return (cf_array){.data = data,
                      .element = CF_DOUBLE,
                      .row_stride = (ptrdiff_t)(columns * sizeof *data),
                      .feature_stride = sizeof *data};
}

/* Where feature f of a row is, in bytes from its first. */
static inline ptrdiff_t cf_feature_offset(const cf_array *array, size_t f) {
    if (array->line == 0)
        return (ptrdiff_t)f * array->feature_stride;
    size_t line = f / array->line;
    return (ptrdiff_t)(f % array->line) * array->feature_stride +
           (ptrdiff_t)(line % array->lines) * array->line_stride +
           (ptrdiff_t)(line / array->lines) * array->channel_stride;
}

/* Makes the array begin `rows` rows later; a single row for all samples stays. */
static inline void cf_array_skip(cf_array *array, size_t rows) {
    if (array->index != NULL)
        array->index += rows;
    else if (array->data != NULL)
        array->data = (const char *)array->data + (ptrdiff_t)rows * array->row_stride;
}

/* The element at p, as float64. */
double cf_read_element(const char *p, const cf_array *array);

/* Which of the array's own rows row i is, and feature f of it, as float64. */
static inline int64_t cf_array_row(const cf_array *array, size_t i) {
    size_t row = array->repeat > 1 ? i / array->repeat : i;
    return array->index != NULL ? array->index[row] : (int64_t)row;
}

static inline double cf_array_number(const cf_array *array, size_t i, size_t f) {
    return cf_read_element((const char *)array->data + cf_array_row(array, i) * array->row_stride +
                               cf_feature_offset(array, f),
                           array);
}

#endif
