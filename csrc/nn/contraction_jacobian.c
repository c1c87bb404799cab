/* The Jacobian of a contraction, all columns at once. That of dense layers is a matrix, row after
 * row. That of convolutions is one high image [channels, columns, height + gap, width]: its columns
 * are images below each other, with so many lines of zeros between two that no kernel sees both. */
#include <math.h>

#include "base/memory.h"
#include "base/shape.h"
#include "nn/contraction.h"
#include "ops/ops.h"

typedef struct {
    size_t columns, gap;
    cf_shape image; /* behind the layer: of one column */
} columns;

static columns columns_of(const cf_contraction_net *net, const cf_contractive_linear *linear) {
    columns c = {.columns = cf_contraction_features(net), .image = linear->in};
    for (size_t i = 0; i < net->layers; i++)
        if (net->linear[i].kernel / 2 > c.gap)
            c.gap = net->linear[i].kernel / 2;
    return c;
}

static cf_shape high_image(const columns *c) {
    cf_shape shape = c->image;
    shape.height = c->columns * (shape.height + c->gap);
    return shape;
}

/* Where number i of the high image is: its column, and its feature or, in a gap, all of them. */
static size_t feature_of(const columns *c, size_t i, size_t *column) {
    size_t width = c->image.width, height = c->image.height, high = height + c->gap;
    size_t x = i % width, y = i / width % high, channel = i / (width * high * c->columns);
    *column = i / (width * high) % c->columns;
    return y < height ? (channel * height + y) * width + x : cf_shape_features(c->image);
}

/* Features of `value`, one of a column's image each, in every column, and zeros in the gaps; or
 * with CF_NO_VALUE the identity. */
static cf_value spread(cf_builder *b, const columns *c, cf_value value) {
    size_t size = cf_shape_features(high_image(c)), column;
    bool unit = cf_is_none(value);
    int64_t *indices;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_kind kind = unit ? CF_UNBATCHED : CF_BATCHED;
    cf_value zero = cf_constant(b, kind, 1, 0.0);
    cf_value parts[2] = {unit ? zero : value, unit ? cf_constant(b, kind, 1, 1.0) : zero};
    if (cf_alloc(&indices, size, sizeof *indices) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a view");
    for (size_t i = 0; i < size; i++) {
        size_t feature = feature_of(c, i, &column);
        indices[i] = unit ? feature == column : (int64_t)feature;
    }
    cf_value view = cf_select(b, cf_concat(b, parts, 2), indices, size);
    cf_free(indices);
    return view;
}

static cf_value push_images(const cf_contraction_net *net, cf_builder *b,
                            const cf_contractive_linear *linear, cf_value weight, cf_value slope,
                            cf_value jacobian) {
    columns c = columns_of(net, linear);
    if (cf_is_none(jacobian))
        jacobian = spread(b, &c, CF_NO_VALUE);
    if (!cf_is_none(slope))
        jacobian = cf_multiply(b, jacobian, spread(b, &c, slope));
    jacobian = cf_broadcast(b, jacobian);
    if (linear->kernel == 1)
        return cf_channels_matmul(b, weight, CF_NO_VALUE, jacobian, high_image(&c),
                                  linear->outputs);
    return cf_conv(b, weight, CF_NO_VALUE, jacobian, high_image(&c), linear->outputs,
                   linear->kernel);
}

cf_value cf_contraction_push(const cf_contraction_params *params, cf_builder *b, size_t i,
                             cf_value slope, cf_value jacobian) {
    const cf_contraction_net *net = params->net;
    const cf_contractive_linear *linear = &net->linear[i];
    cf_value weight = params->weight[i];
    cf_shape shape = {linear->in.channels, 1, cf_contraction_features(net), true};
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (net->kernels != NULL)
        return push_images(net, b, linear, weight, slope, jacobian);
    if (cf_is_none(jacobian))
        return cf_is_none(slope)
                   ? weight
                   : cf_multiply(b, weight, cf_repeat_whole(b, slope, linear->outputs));
    if (!cf_is_none(slope))
        jacobian = cf_multiply(b, jacobian, cf_broadcast_channels(b, slope, shape));
    return cf_channels_matmul(b, weight, CF_NO_VALUE, cf_broadcast(b, jacobian), shape,
                              linear->outputs);
}

cf_value cf_contraction_matrix(const cf_contraction_params *params, cf_builder *b,
                               cf_value jacobian) {
    columns c = columns_of(params->net, &params->net->linear[0]);
    size_t size = cf_shape_features(high_image(&c)), column;
    int64_t *indices;
    if (params->net->kernels == NULL || cf_builder_status(b) != CF_OK)
        return cf_broadcast(b, jacobian);
    if (cf_alloc(&indices, c.columns * c.columns, sizeof *indices) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a view of a Jacobian");
    for (size_t i = 0; i < size; i++) {
        size_t feature = feature_of(&c, i, &column);
        if (feature < c.columns)
            indices[feature * c.columns + column] = (int64_t)i;
    }
    cf_value matrix = cf_select(b, jacobian, indices, c.columns * c.columns);
    cf_free(indices);
    return matrix;
}

double cf_contraction_jacobian_size(const cf_contraction_net *net) {
    double most = 0.0;
    for (size_t i = 0; i < net->layers; i++) {
        columns c = columns_of(net, &net->linear[i]);
        double pixels = (double)(c.image.height + c.gap) * (double)c.image.width;
        most = fmax(most, (double)c.image.channels * (double)c.columns * pixels);
    }
    return most;
}
