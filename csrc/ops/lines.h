/* The lines of an image on their way into a convolution: those that an output line reads lie side
 * by side, with zeros around them, in a ring of as many lines as the kernel has. Feature (c, i, j)
 * of the kernel's window is then a row of the matrix kernels whose lanes are all pixels of the
 * line.
 */
#ifndef CF_OPS_LINES_H
#define CF_OPS_LINES_H

#include "ops/feature_rows.h"

typedef struct {
    cf_shape shape;
    size_t kernel, lanes, element;
    const char *base;             /* of the slice */
    const uint32_t *feature_rows; /* of the image in it */
    bool contiguous;              /* the pixels of a line lie in a row there */
    size_t packed;     /* lines of the image, borders included, that have been taken in */
    char *ring;        /* [channels][kernel][width + kernel - 1][lanes] */
    uint32_t *windows; /* [kernel][channels * kernel^2]: row numbers in the ring, by its turn */
} cf_lines;

/* Bytes of scratch of cf_lines_start. */
size_t cf_lines_scratch(cf_shape shape, size_t kernel, size_t lanes, cf_dtype dtype);

/* Begins with batched operand i of the call, an image; its slice is `base`. `scratch` is aligned to
 * CF_ALIGNMENT. */
void cf_lines_start(cf_lines *lines, const cf_call *call, size_t i, const char *base,
                    cf_shape shape, size_t kernel, void *scratch);

/* Loads what output line y needs, y ascending from 0; returns the row numbers of its windows, in
 * units of `lanes`, from the ring on. */
const uint32_t *cf_lines_load(cf_lines *lines, size_t y);

#endif
