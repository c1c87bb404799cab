/* A network g that is a contraction: dense layers W h + bias, or convolutions of images, with
 * normalised weights, and activations that are no steeper than 1, so that |g(x) - g(y)| <= r |x -
 * y| with r < 1 whatever the parameters are, in one of three norms.
 *
 * In the Euclidean norm W = weight / max(1, s / c) with c the coefficient and s = u^T weight v, the
 * largest singular value, of a convolution as a map of the whole image, by vectors u and v that
 * training keeps up to date; see cf_singular_vectors, which bounds |W| by cf_contraction_bound even
 * where they are out of date. In the norms of sums and of the maximum the columns, or rows, of W
 * are divided by max(1, s / c), each with s the sum of its magnitudes.
 */
#ifndef CF_NN_CONTRACTION_H
#define CF_NN_CONTRACTION_H

#include "engine/program.h"
#include "model/binding.h"

typedef struct {
    size_t weight, bias, slope; /* slope: of the activation before, if that learns one */
    cf_statistic left, right;   /* u and v */
    cf_shape in;                /* an image, or a vector, of one pixel */
    size_t outputs, kernel;     /* channels; a dense layer is a convolution of one pixel */
} cf_contractive_linear;

typedef enum { CF_NORM_SPECTRAL, CF_NORM_ONE, CF_NORM_INFINITY } cf_contraction_norm;

typedef struct {
    size_t layers;
    cf_contractive_linear *linear;
    const char *activation;
    bool activation_first; /* before the first dense layer too, not only between two */
    double coefficient;
    cf_contraction_norm norm;
    const int64_t *kernels; /* of the convolutions, one or one each; NULL: of dense layers */
    size_t kernel_count;
    size_t context, context_weight; /* context: features, may be 0 */
} cf_contraction_net;

enum { CF_MAX_CONTRACTION_LAYERS = 32 };

/* The parameters in a program: emitted once, before what reads them. */
typedef struct {
    const cf_contraction_net *net;
    cf_value weight[CF_MAX_CONTRACTION_LAYERS]; /* by dense layer; normalised */
    cf_value bias[CF_MAX_CONTRACTION_LAYERS];   /* of the first layer, with the context, batched */
    cf_value slope[CF_MAX_CONTRACTION_LAYERS];  /* of the activation before, or CF_NO_VALUE */
} cf_contraction_params;

/* The names of activations, ending in NULL. */
extern const char *const cf_contraction_activations[];

/* Declares `linear<i>.weight`, `.bias`, `.left`, `.right` (of convolutions `conv<i>`; the vectors
 * in the Euclidean norm alone) and, of the activation before it, `activation<i>.beta`, and
 * `context.weight`. The last layer starts at zero. Beforehand the fields from `activation` to
 * `context` are to be set. Without kernels an image is a vector. */
cf_status cf_contraction_bind(cf_contraction_net *net, cf_binding *binding, cf_shape shape,
                              const int64_t *hidden, size_t count);

/* The features of x. */
size_t cf_contraction_features(const cf_contraction_net *net);

/* W. */
cf_value cf_contraction_weight(const cf_contraction_net *net, cf_builder *b,
                               const cf_contractive_linear *linear);

void cf_contraction_emit_params(const cf_contraction_net *net, cf_builder *b, cf_value context,
                                cf_contraction_params *out);

/* g(x). *magnitude, unless it is NULL, receives one feature of the size of the numbers that are
 * added on the way, to which rounding errors are relative. */
cf_value cf_contraction_emit(const cf_contraction_params *params, cf_builder *b, cf_value x,
                             cf_value *magnitude);

/* The same; each of `count` vectors v becomes (dg/dx) v. slope[i] receives the slopes of the
 * activation before linear layer i, or CF_NO_VALUE. */
cf_value cf_contraction_products(const cf_contraction_params *params, cf_builder *b, cf_value x,
                                 cf_value *vector, size_t count, cf_value *slope);

/* (dg/dx)^T w, by those slopes. */
cf_value cf_contraction_pull(const cf_contraction_params *params, cf_builder *b,
                             const cf_value *slope, cf_value w);

/* The same; *jacobian receives dg/dx, batched, row after row. */
cf_value cf_contraction_jacobian(const cf_contraction_params *params, cf_builder *b, cf_value x,
                                 cf_value *jacobian);

/* Parts of the Jacobian dg/dx on its way through the layers: linear layer i behind an activation of
 * these slopes (CF_NO_VALUE: none) after `jacobian`, CF_NO_VALUE for the identity; and the matrix
 * that is left, row after row. Of convolutions the columns stand as images below each other. */
cf_value cf_contraction_push(const cf_contraction_params *params, cf_builder *b, size_t i,
                             cf_value slope, cf_value jacobian);
cf_value cf_contraction_matrix(const cf_contraction_params *params, cf_builder *b,
                               cf_value jacobian);

/* How many numbers of a sample the largest of them has. */
double cf_contraction_jacobian_size(const cf_contraction_net *net);

/* log|det(I + dg/dx)|, exact; *g is g(x). */
cf_value cf_contraction_log_det(const cf_contraction_params *params, cf_builder *b, cf_value x,
                                cf_value *g);

/* An estimate of it: its mean is exact, and so is that of its gradient. One random probe v for each
 * sample (Hutchinson), and a random number of terms of the series (Chen et al. 2019, equations 6
 * and 8), in memory that does not grow with that number. Differentiating its gradient is an error.
 */
cf_value cf_contraction_log_det_estimate(const cf_contraction_params *params, cf_builder *b,
                                         cf_value x, cf_value *g);

/* The same with so many probes that are always the same, the same of every sample, and as many
 * terms as it takes: what is left out of a probe's sum is at most CF_SERIES_TOLERANCE. */
cf_value cf_contraction_log_det_probes(const cf_contraction_params *params, cf_builder *b,
                                       cf_value x, size_t probes, cf_value *g);

#define CF_SERIES_TOLERANCE 1e-3
enum { CF_MAX_PROBES = 64 };

/* The greatest |W| that any weights can have, and r. */
double cf_contraction_bound(double coefficient);
double cf_contraction_rate(const cf_contraction_net *net);

#endif
