/* Ops on channels, made of others. */
#include "ops/ops.h"

cf_value cf_channels_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x,
                            cf_shape shape, size_t outputs) {
    if (cf_pixels(shape) == 1)
        return cf_matmul(b, weight, bias, x, outputs);
    return cf_conv(b, weight, bias, x, shape, outputs, 1);
}

cf_value cf_channels_outer_sum(cf_builder *b, cf_value x, cf_value y, cf_shape shape) {
    if (cf_pixels(shape) == 1)
        return cf_outer_sum_samples(b, x, y);
    return cf_conv_outer_sum(b, x, y, shape, shape.channels, 1);
}

cf_value cf_broadcast_channels(cf_builder *b, cf_value value, cf_shape shape) {
    return cf_pixels(shape) == 1 ? value : cf_repeat_each(b, value, cf_pixels(shape));
}

cf_value cf_broadcast_pixels(cf_builder *b, cf_value value, cf_shape shape) {
    return shape.channels == 1 ? value : cf_repeat_whole(b, value, shape.channels);
}

cf_value cf_every_pixel(cf_builder *b, cf_value log_det, cf_shape shape) {
    if (cf_is_none(log_det) || cf_pixels(shape) == 1)
        return log_det;
    return cf_scale_shift(b, log_det, (double)cf_pixels(shape), 0.0);
}

void cf_squeeze_order(cf_shape shape, size_t factor, int64_t *order) {
    size_t height = shape.height / factor, width = shape.width / factor;
    for (size_t f = 0, n = cf_shape_features(shape); f < n; f++) {
        size_t x = f % width, y = f / width % height, channel = f / (width * height);
        size_t part = channel % (factor * factor);
        y = y * factor + part / factor;
        x = x * factor + part % factor;
        channel /= factor * factor;
        order[f] = (int64_t)((channel * shape.height + y) * shape.width + x);
    }
}
