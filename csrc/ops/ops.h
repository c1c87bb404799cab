/* The ops, as layers, conditioners and objectives emit them.
 *
 * Elementwise ops take batched or unbatched values alike: where both meet, the unbatched one is
 * repeated for every sample; one feature beside several is repeated for each.
 */
#ifndef CF_OPS_OPS_H
#define CF_OPS_OPS_H

#include "base/shape.h"
#include "engine/intrinsics.h"
#include "engine/program.h"
#include "simd/matmul.h"

/* ---- inputs and outputs ---- */

/* What lanes beyond the last sample hold: the last sample again, or zeros (cotangents). */
typedef enum { CF_PAD_REPEAT, CF_PAD_ZERO } cf_padding;

/* The caller's array in `slot`, converted to the dtype of the run. */
cf_value cf_input(cf_builder *b, int slot, size_t features, cf_padding padding);

/* The same plus noise times the first row of the array in slot `jitter`, feature by feature, added
 * before any rounding to the dtype; noise has as many features. */
cf_value cf_jittered_input(cf_builder *b, int slot, int jitter, cf_value noise);

/* Stores a batched value in the caller's array in `slot`. */
void cf_output(cf_builder *b, int slot, cf_value value);

/* A tensor of the parameter slab. */
cf_value cf_parameter(cf_builder *b, size_t offset, size_t size);

/* x scale + shift, or its inverse, with shift and scale float64 buffers at `offset` and `offset +
 * features`. Beside an input or output it is done in float64 before the rounding to the dtype, so
 * that large offsets lose nothing. */
cf_value cf_fixed_affine(cf_builder *b, cf_value x, size_t offset, bool inverse);

/* Sum of log|scale| of those buffers: an unbatched number. */
cf_value cf_fixed_affine_log_det(cf_builder *b, size_t offset, size_t features);

/* ---- unbatched and batched values ---- */

/* x itself, or a copy if it is an unbatched view that is not contiguous. */
cf_value cf_contiguous(cf_builder *b, cf_value x);

/* An unbatched value for every sample. */
cf_value cf_broadcast(cf_builder *b, cf_value unbatched);

/* The sum over all samples: an unbatched value. */
cf_value cf_sum_samples(cf_builder *b, cf_value x);

/* An unbatched value for every sample, but 0 in lanes beyond the last sample: a cotangent. */
cf_value cf_broadcast_padded(cf_builder *b, cf_value unbatched);

/* The number of samples: an unbatched number. */
cf_value cf_sample_count(cf_builder *b);

/* The sum over samples of the outer products x y^T: an unbatched value of size(x) rows and size(y)
 * columns. One of x and y is a cotangent, 0 in lanes beyond the last sample. */
cf_value cf_outer_sum_samples(cf_builder *b, cf_value x, cf_value y);

/* The same with zeros outside a block-triangular mask. */
cf_value cf_masked_outer_sum_samples(cf_builder *b, cf_value x, cf_value y,
                                     const cf_block_mask *mask);

/* The same group by group: the outer products x_g y_g^T, one after another. */
cf_value cf_grouped_outer_sum_samples(cf_builder *b, cf_value x, cf_value y, size_t groups);

/* Rows [row, row + rows) and columns [0, columns) of an unbatched matrix of rows of `row_size`: a
 * view that the matrix products take as it is. */
cf_value cf_block(cf_builder *b, cf_value matrix, size_t row_size, size_t row, size_t rows,
                  size_t columns);

/* Random numbers of the run's seed and samples; `stream` tells one op's numbers from another's. */
cf_value cf_random_normal_samples(cf_builder *b, size_t features, uint32_t stream);
cf_value cf_random_uniform_samples(cf_builder *b, size_t features, uint32_t stream);

/* One uniform number for so many samples that follow each other, the first a multiple of them. */
enum { CF_SAMPLES_OF_GROUP = 64 };
cf_value cf_random_uniform_groups(cf_builder *b, uint32_t stream);

/* The noise of a stochastic layer, from a stream of its own: normal, or uniform on [0, 1); in a
 * deterministic program, 0 and 1/2. */
cf_value cf_normal_noise(cf_builder *b, size_t features);
cf_value cf_uniform_noise(cf_builder *b, size_t features);

/* In a program for training, x with each number replaced by 0 with this probability, and else
 * divided by its complement; in others, x itself. */
cf_value cf_dropout(cf_builder *b, cf_value x, double probability);

/* ---- matrices ---- */

/* W x + bias, W unbatched with `outputs` rows and size(x) columns; bias unbatched or
 * CF_NO_VALUE. */
cf_value cf_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs);

/* W^T x. */
cf_value cf_matmul_transposed(cf_builder *b, cf_value weight, cf_value x, size_t outputs);

/* The same with a W that is 0 outside a block-triangular mask, which outlives the program; with
 * NULL, as above. What W holds there is not read. */
cf_value cf_masked_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs,
                          const cf_block_mask *mask);
cf_value cf_masked_matmul_transposed(cf_builder *b, cf_value weight, cf_value x, size_t outputs,
                                     const cf_block_mask *mask);

/* As many matrices as there are groups, one after another, each for a group of neighbouring
 * features: W_g x_g + bias_g, or W_g^T x_g. `outputs` of all groups. */
cf_value cf_grouped_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x,
                           size_t outputs, size_t groups);
cf_value cf_grouped_matmul_transposed(cf_builder *b, cf_value weight, cf_value x, size_t outputs,
                                      size_t groups);

/* One triangle of an unbatched square matrix, zeros in the other, and on the diagonal the numbers
 * given, or `number`. */
cf_value cf_triangle(cf_builder *b, cf_value matrix, cf_value diagonal, double number, bool upper);

/* An unbatched matrix of so many columns, with 0 where `mask`, of rows of `row_size`, is; with
 * NULL, the matrix itself. The mask outlives the program. What the matrix holds there is not read.
 */
cf_value cf_mask_matrix(cf_builder *b, cf_value matrix, size_t columns, const unsigned char *mask,
                        size_t row_size);

/* The exponential of an unbatched square matrix; of one that is antisymmetric, a rotation however
 * large it is. */
cf_value cf_matrix_exponential(cf_builder *b, cf_value matrix, bool antisymmetric);

/* x y of two unbatched matrices of these sizes, [rows, inner] and [inner, columns]. */
cf_value cf_matrix_product(cf_builder *b, cf_value x, cf_value y, size_t rows, size_t inner,
                           size_t columns);

/* The transpose of a matrix of so many rows, one row after another: a view. */
cf_value cf_transpose(cf_builder *b, cf_value matrix, size_t rows);

/* x, `count` times one after another, as the equal rows of a matrix: a view. */
cf_value cf_repeat_whole(cf_builder *b, cf_value x, size_t count);

/* The diagonal of an unbatched matrix of n rows: a view. */
cf_value cf_diagonal(cf_builder *b, cf_value matrix, size_t n);

/* The inverse of an unbatched square matrix, for cf_solve alone, and log|det|. */
cf_value cf_invert(cf_builder *b, cf_value matrix, cf_value *log_abs_det);

/* y of W y = x, or of W^T y = x, for an unbatched matrix and its inverse; where x has a multiple of
 * as many features as W has rows, it is an image, and y that of the channels of every pixel. */
cf_value cf_solve(cf_builder *b, cf_value matrix, cf_value inverse, cf_value x, bool transposed);

/* log|det| of a small square matrix a sample, row after row: one feature. */
cf_value cf_log_abs_det(cf_builder *b, cf_value matrix);

/* The vectors with which left^T W right is to be taken for the largest singular value of an
 * unbatched W of `rows` rows: given ones, of any length, where the value that they give is at least
 * `share` of the largest; else those of the largest one, and *factor is `share`, or 1 where the
 * given ones are zeros. In a program for training the given ones are improved by some steps. They
 * are held constant: what is computed has no gradient. */
void cf_singular_vectors(cf_builder *b, cf_value matrix, size_t rows, double share, cf_value *left,
                         cf_value *right, cf_value *factor);

/* The same of a convolution (cf_conv) as a map of an image of `shape` to one of `outputs` channels:
 * the vectors are images. left^T W right is the sum of weights times `sums`. */
void cf_conv_singular_vectors(cf_builder *b, cf_value weight, cf_shape shape, size_t outputs,
                              size_t kernel, double share, cf_value *left, cf_value *right,
                              cf_value *factor, cf_value *sums);

/* y of T y = x, or of T^T y = x, for an unbatched triangular T, whose other triangle is not read.
 */
cf_value cf_solve_triangular(cf_builder *b, cf_value matrix, cf_value x, bool upper,
                             bool transposed);

/* ---- images ---- */

/* The convolution of an image with weights [outputs, channels, kernel, kernel], an unbatched value;
 * kernel is odd, around the image are zeros, and the result is as high and wide. bias: `outputs`
 * unbatched numbers or CF_NO_VALUE. */
cf_value cf_conv(cf_builder *b, cf_value weight, cf_value bias, cf_value x, cf_shape shape,
                 size_t outputs, size_t kernel);

/* Its gradient with respect to the weights, summed over samples; `shape` is that of x. */
cf_value cf_conv_outer_sum(cf_builder *b, cf_value dy, cf_value x, cf_shape shape, size_t outputs,
                           size_t kernel);

/* The weights with inputs and outputs exchanged and turned by 180 degrees: [channels, outputs,
 * kernel, kernel]. */
cf_value cf_turn_kernel(cf_builder *b, cf_value weight, size_t outputs, size_t channels,
                        size_t kernel);

/* What follows acts on the channels of every pixel; of a vector, on its features. */

/* W x + bias, as cf_matmul. */
cf_value cf_channels_matmul(cf_builder *b, cf_value weight, cf_value bias, cf_value x,
                            cf_shape shape, size_t outputs);

/* The sum over samples and pixels of the outer products x y^T, both of the same shape. */
cf_value cf_channels_outer_sum(cf_builder *b, cf_value x, cf_value y, cf_shape shape);

/* One number a channel, at every pixel: a view. */
cf_value cf_broadcast_channels(cf_builder *b, cf_value value, cf_shape shape);

/* One number a pixel, in each of shape.channels channels: a view. */
cf_value cf_broadcast_pixels(cf_builder *b, cf_value value, cf_shape shape);

/* Where each feature of the image squeezed by `factor`, which divides its height and width, comes
 * from: order[(f f c + f i + j, y, x)] = (c, f y + i, f x + j). */
void cf_squeeze_order(cf_shape shape, size_t factor, int64_t *order);

/* The log-determinant of a map that does the same at every pixel; CF_NO_VALUE stays. */
cf_value cf_every_pixel(cf_builder *b, cf_value log_det, cf_shape shape);

/* ---- discrete numbers ---- */

/* Of features x from 0 to levels - 1 and as many unconstrained parameters of each, all of level 0
 * first, whose softmax are the probabilities of the levels: log p_x, feature by feature, -inf where
 * x is none. */
cf_value cf_categorical_log_prob(cf_builder *b, cf_value params, cf_value x, size_t levels);

/* Random levels, from u uniform on [0, 1), and their mean; without a gradient. */
cf_value cf_categorical_draw(cf_builder *b, cf_value params, cf_value u, size_t levels);
cf_value cf_categorical_mean(cf_builder *b, cf_value params, size_t levels);

/* ---- arithmetic ---- */

cf_value cf_subtract(cf_builder *b, cf_value x, cf_value y);
cf_value cf_multiply(cf_builder *b, cf_value x, cf_value y);
cf_value cf_divide(cf_builder *b, cf_value x, cf_value y);
/* x scale, where an infinite scale of 0 is 0. */
cf_value cf_apply_scale(cf_builder *b, cf_value x, cf_value scale);
/* factor x + term. */
cf_value cf_scale_shift(cf_builder *b, cf_value x, double factor, double term);
/* min(max(x, low), high); the gradient is 0 outside. */
cf_value cf_clamp(cf_builder *b, cf_value x, double low, double high);
/* x, or where its square would overflow, the number of its sign from where on it does, of gradient
 * 0: products with it are finite. */
cf_value cf_saturate(cf_builder *b, cf_value x);
/* The greatest integer not above x; the gradient is 0. */
cf_value cf_floor(cf_builder *b, cf_value x);
/* x where log_prob, one feature, is not -inf, else 0. */
cf_value cf_where_possible(cf_builder *b, cf_value log_prob, cf_value x);
/* Whether that is what `value` is, and of which operands, log_prob repeated for every feature. */
bool cf_is_where_possible(const cf_builder *b, cf_value value, cf_value *log_prob, cf_value *x);

/* x where the condition, one feature, is above 0, else y, whatever the other is. */
cf_value cf_where(cf_builder *b, cf_value condition, cf_value x, cf_value y);

/* 0 where all features are finite, else NaN: one feature; the gradient is 0. */
cf_value cf_unknown(cf_builder *b, cf_value x);

/* 1 where x >= threshold, else 0; the gradient is 0. */
cf_value cf_greater_equal(cf_builder *b, cf_value x, double threshold);
/* x + noise of integers x and noise on [0, 1], strictly between x and x + 1 for any rounding. */
cf_value cf_add_noise(cf_builder *b, cf_value x, cf_value noise);
/* x itself; the gradient is 0. */
cf_value cf_detach(cf_builder *b, cf_value x);
/* x itself, whose cotangent is multiplied by `weight`, of one feature; that has no gradient. */
cf_value cf_scale_gradient(cf_builder *b, cf_value x, cf_value weight);
/* `value`, one feature, whose gradient is stated: in x it is `slope`, of as many features, and in
 * what else it was computed from 0. */
cf_value cf_stated_gradient(cf_builder *b, cf_value value, cf_value x, cf_value slope);
/* A sum in which either may be missing (CF_NO_VALUE is 0). */
cf_value cf_add_optional(cf_builder *b, cf_value x, cf_value y);
/* Whether `value` is one, and of which terms. */
bool cf_is_sum(const cf_builder *b, cf_value value, cf_value terms[2]);

/* dy/dx, feature by feature, of a y whose features depend on theirs of x alone; x is a whole node.
 */
cf_value cf_derivative(cf_builder *b, cf_value y, cf_value x);

/* ---- functions ---- */

/* Those of function_list.h: cf_exp(b, x), cf_log(b, x), ... */
#define CF_FUNCTION(name, value, of, slope, bend, doc)                                             \
    cf_value cf_##name(cf_builder *b, cf_value x);
#include "ops/function_list.h"
#undef CF_FUNCTION

/* cos(2 pi (turns x + phase)); a phase of -1/4 makes it the sine. */
cf_value cf_cosine(cf_builder *b, cf_value x, double turns, double phase);
/* x less whole periods of high - low, within [low, high]; numbers within stay as they are. */
cf_value cf_wrap(cf_builder *b, cf_value x, double low, double high);
cf_value cf_leaky_relu(cf_builder *b, cf_value x, double slope);
/* x / (1 + |x| / bound): the identity near 0, within (-bound, bound). */
cf_value cf_softclip(cf_builder *b, cf_value x, double bound);

/* log(Phi(x)), Phi the normal distribution function, and log(phi(x) / Phi(x)), phi its density:
 * accurate far out in both tails. x of log(Phi(x)), for
 * logarithms of at most log(3 / 4); of -inf it is -inf. */
cf_value cf_log_normal_cdf(cf_builder *b, cf_value x);
cf_value cf_log_normal_hazard(cf_builder *b, cf_value x);
cf_value cf_normal_quantile_of_log(cf_builder *b, cf_value log_probability);

/* u of u exp(h u^2 / 2) = z, for h >= 0. */
cf_value cf_lambert_root(cf_builder *b, cf_value z, cf_value h);

/* log(variance) / 2, or 0 where there is no spread around `mean`; without a gradient. */
cf_value cf_log_standard_deviation(cf_builder *b, cf_value variance, cf_value mean);

/* x / |x|, however long the vector x is; of zeros, zeros. */
cf_value cf_unit_vector(cf_builder *b, cf_value x);

/* log(sum of exp(x)) over features: one feature. */
cf_value cf_log_sum_exp(cf_builder *b, cf_value x);

/* The same of groups of neighbouring features, `groups` of one size. */
cf_value cf_log_sum_exp_groups(cf_builder *b, cf_value x, size_t groups);

/* One feature for each probability: 1 for the one in whose interval of [0, 1) the feature u lies, 0
 * for the others. It has no gradient. */
cf_value cf_choose(cf_builder *b, cf_value u, cf_value probabilities);

/* One feature for each category: 1 for x, one of the integers from 0, and 0 for the others. It has
 * no gradient. */
cf_value cf_one_hot(cf_builder *b, cf_value x, size_t categories);

/* The index of the largest feature: one feature. It has no gradient. */
cf_value cf_argmax(cf_builder *b, cf_value x);

/* The log indicator of an interval: 0 where x lies between its feature's ends, which are at `low`
 * and at `high` of the buffers, and -inf outside; the gradient is 0. */
cf_value cf_log_indicator(cf_builder *b, cf_value x, size_t low, size_t high);

/* ---- densities and maps with their log-determinant ---- */

/* The log indicator of integers: 0 where x is one from low to high, and -inf elsewhere; the
 * gradient is 0. */
cf_value cf_log_indicator_integers(cf_builder *b, cf_value x, double low, double high);

/* -(sum of u^2) / 2 - features log(2 pi) / 2: one feature. */
cf_value cf_normal_log_density(cf_builder *b, cf_value u);

/* x exp(s) + t with log_det = sum of s, or (x - t) exp(-s) with log_det = -(sum of s). */
cf_value cf_affine(cf_builder *b, cf_value x, cf_value s, cf_value t, bool inverse,
                   cf_value *log_det);

#endif
