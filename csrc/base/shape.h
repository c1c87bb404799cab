/* The shape of one sample: an image of channels x height x width, in that order, or a vector, whose
 * features are the channels of a single pixel. */
#ifndef CF_BASE_SHAPE_H
#define CF_BASE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    size_t channels, height, width;
    bool image; /* told from a vector by the caller's arrays, which have a dimension each */
} cf_shape;

static inline cf_shape cf_vector(size_t features) {
    return (cf_shape){features, 1, 1, false};
}

static inline size_t cf_pixels(cf_shape shape) {
    return shape.height * shape.width;
}

/* How many numbers a sample has. */
static inline size_t cf_shape_features(cf_shape shape) {
    return shape.channels * cf_pixels(shape);
}

#endif
