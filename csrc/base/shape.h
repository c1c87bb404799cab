/* The sizes of a shape. */
#ifndef CF_BASE_SHAPE_H
#define CF_BASE_SHAPE_H

#include "cflows.h"

static inline size_t cf_pixels(cf_shape shape) {
    return shape.height * shape.width;
}

static inline size_t cf_shape_features(cf_shape shape) {
    return shape.channels * cf_pixels(shape);
}

static inline bool cf_same_shape(cf_shape a, cf_shape b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width &&
           a.image == b.image;
}

#endif
