/* Reading a tile of the caller's rows: any element type, strides and byte order, converted to
 * float64 here and nowhere else. */
#ifndef CF_OPS_READ_ROWS_H
#define CF_OPS_READ_ROWS_H

#include "engine/run.h"

/* The features of a sample that are read or written at a time: samples lie far apart, for images
 * by powers of two, so that a cache line must be done with before the next one takes its place. */
enum { CF_LINE_FEATURES = 16 };

/* Where the samples of the tile begin; lanes beyond the last sample repeat it. */
void cf_find_rows(const cf_call *call, const cf_array *array, const char *rows[CF_MAX_LANES]);

/* Reads features [first, first + count) of these rows into `stage`, [count][CF_MAX_LANES]. */
void cf_read_features(const cf_array *array, const char *const *rows, size_t first, size_t count,
                      size_t lanes, double *stage);

/* Reads the features of the array in a slot, in ascending order from the first. */
typedef struct {
    const cf_array *array;
    size_t features, lanes;
    const char *rows[CF_MAX_LANES];
    double stage[CF_LINE_FEATURES * CF_MAX_LANES];
} cf_row_reader;

void cf_row_reader_begin(cf_row_reader *r, const cf_call *call, int slot, size_t features);

/* Feature f, by lane; valid until the next is asked for. */
double *cf_row_reader_next(cf_row_reader *r, size_t f);

/* The width of the noise that is added to feature f. */
double cf_jitter_width(const cf_call *call, int slot, size_t f);

#endif
