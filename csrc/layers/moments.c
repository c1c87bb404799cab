#include "layers/moments.h"

#include "ops/ops.h"

/* The mean of every channel: of a vector, of every feature. */
static cf_value mean_of(cf_builder *b, cf_value x, cf_shape shape) {
    cf_value sum = cf_sum_samples(b, x), numbers = cf_every_pixel(b, cf_sample_count(b), shape);
    return cf_divide(b, cf_pixels(shape) > 1 ? cf_sum_groups(b, sum, shape.channels) : sum,
                     numbers);
}

cf_moments cf_moments_of(cf_builder *b, cf_value x, cf_shape shape) {
    cf_moments m = {.mean = mean_of(b, x, shape)};
    m.centred = cf_subtract(b, x, cf_broadcast_channels(b, m.mean, shape));
    m.variance = mean_of(b, cf_multiply(b, m.centred, m.centred), shape);
    return m;
}
