/* Weights of contractions: divided so that no norm of a linear map is much greater than c. */
#include "base/memory.h"
#include "base/shape.h"
#include "nn/contraction.h"
#include "ops/ops.h"

/* 1 / max(1, s / c) */
static cf_value divisor(const cf_contraction_net *net, cf_builder *b, cf_value s) {
    cf_value above = cf_relu(b, cf_scale_shift(b, s, 1.0 / net->coefficient, -1.0));
    cf_value one = cf_constant(b, CF_UNBATCHED, 1, 1.0);
    return cf_divide(b, one, cf_scale_shift(b, above, 1.0, 1.0));
}

/* ---- the Euclidean norm ---- */

/* The largest singular value; a kernel of one pixel is a matrix. */
static cf_value spectral_norm(const cf_contraction_net *net, cf_builder *b,
                              const cf_contractive_linear *linear, cf_value weight) {
    size_t rows = linear->outputs, columns = linear->in.channels;
    double share = net->coefficient / cf_contraction_bound(net->coefficient);
    cf_value left = cf_parameter(b, linear->left.parameter, linear->left.size);
    cf_value right = cf_parameter(b, linear->right.parameter, linear->right.size);
    cf_value factor = CF_NO_VALUE, products = CF_NO_VALUE;
    if (linear->kernel == 1) {
        cf_singular_vectors(b, weight, rows, share, &left, &right, &factor);
        products =
            cf_multiply(b, cf_repeat_each(b, left, columns), cf_repeat_whole(b, right, rows));
    } else {
        cf_conv_singular_vectors(b, weight, linear->in, rows, linear->kernel, share, &left, &right,
                                 &factor, &products);
    }
    if (cf_builder_mode(b) == CF_TRAINING) {
        cf_output_statistic(b, linear->left.output, left);
        cf_output_statistic(b, linear->right.output, right);
    }
    return cf_multiply(b, cf_sum_features(b, cf_multiply(b, weight, products)), factor);
}

/* ---- the norms of sums and of the maximum ---- */

/* Each output's row, of all its weights, by itself. */
static cf_value divide_rows(const cf_contraction_net *net, cf_builder *b,
                            const cf_contractive_linear *linear, cf_value weight) {
    size_t row = linear->in.channels * linear->kernel * linear->kernel;
    cf_value sums = cf_sum_groups(b, cf_abs(b, weight), linear->outputs);
    return cf_multiply(b, weight, cf_repeat_each(b, divisor(net, b, sums), row));
}

/* The weights of each channel that is read: a view [channels, outputs, k, k]. */
static cf_value by_channel(cf_builder *b, const cf_contractive_linear *linear, cf_value weight) {
    size_t square = linear->kernel * linear->kernel, row = linear->in.channels * square;
    size_t column = linear->outputs * square, size = linear->outputs * row;
    int64_t *indices;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&indices, size, sizeof *indices) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a view of weights");
    for (size_t i = 0; i < size; i++) {
        size_t output = i % column / square, place = i / column * square + i % square;
        indices[i] = (int64_t)(output * row + place);
    }
    cf_value view = cf_select(b, weight, indices, size);
    cf_free(indices);
    return view;
}

static cf_value divide_columns(const cf_contraction_net *net, cf_builder *b,
                               const cf_contractive_linear *linear, cf_value weight) {
    size_t square = linear->kernel * linear->kernel;
    cf_value magnitudes = by_channel(b, linear, cf_abs(b, weight));
    cf_value factor = divisor(net, b, cf_sum_groups(b, magnitudes, linear->in.channels));
    cf_value row = cf_repeat_each(b, factor, square);
    return cf_multiply(b, weight, cf_repeat_whole(b, row, linear->outputs));
}

cf_value cf_contraction_weight(const cf_contraction_net *net, cf_builder *b,
                               const cf_contractive_linear *linear) {
    size_t row = linear->in.channels * linear->kernel * linear->kernel;
    cf_value weight = cf_parameter(b, linear->weight, linear->outputs * row);
    switch (net->norm) {
    case CF_NORM_ONE:
        return divide_columns(net, b, linear, weight);
    case CF_NORM_INFINITY:
        return divide_rows(net, b, linear, weight);
    case CF_NORM_SPECTRAL:
        break;
    }
    return cf_multiply(b, weight, divisor(net, b, spectral_norm(net, b, linear, weight)));
}
