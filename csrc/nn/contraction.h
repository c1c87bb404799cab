/* A network g that is a contraction: dense layers W h + bias with normalised weights, and
 * activations that are no steeper than 1, so that |g(x) - g(y)| <= r |x - y| with r < 1 whatever
 * the parameters are.
 *
 * W = weight / max(1, s / c) with c the coefficient and s = u^T weight v, the largest singular
 * value by vectors u and v that training keeps up to date; see cf_singular_vectors, which bounds
 * |W| by cf_contraction_bound even where they are out of date.
 */
#ifndef CF_NN_CONTRACTION_H
#define CF_NN_CONTRACTION_H

#include "engine/program.h"
#include "model/binding.h"

typedef struct {
    size_t weight, bias, slope; /* slope: of the activation before, if that learns one */
    cf_statistic left, right;   /* u and v */
    size_t inputs, outputs;
} cf_contractive_linear;

typedef struct {
    size_t layers;
    cf_contractive_linear *linear;
    const char *activation;
    bool activation_first; /* before the first dense layer too, not only between two */
    double coefficient;
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

/* Declares `linear<i>.weight`, `.bias`, `.left`, `.right` and, of the activation before it,
 * `activation<i>.beta`, and `context.weight`. The last layer starts at zero. Beforehand the fields
 * from `activation` to `context` are to be set. */
cf_status cf_contraction_bind(cf_contraction_net *net, cf_binding *binding, size_t features,
                              const int64_t *hidden, size_t count);

void cf_contraction_emit_params(const cf_contraction_net *net, cf_builder *b, cf_value context,
                                cf_contraction_params *out);

/* g(x). With `derivative`, *derivative is a vector v, and receives (dg/dx) v; if it is CF_NO_VALUE
 * it receives dg/dx itself, batched, row after row. With `magnitude`, *magnitude receives one
 * feature of the size of the numbers that are added on the way, to which rounding errors are
 * relative. Either may be NULL. */
cf_value cf_contraction_emit(const cf_contraction_params *params, cf_builder *b, cf_value x,
                             cf_value *derivative, cf_value *magnitude);

/* log|det(I + dg/dx)|, exact; *g is g(x). */
cf_value cf_contraction_log_det(const cf_contraction_params *params, cf_builder *b, cf_value x,
                                cf_value *g);

/* An estimate of it: its mean is exact, and so is that of its gradient. One random probe v for each
 * sample (Hutchinson), and a random number of terms of the series (Chen et al. 2019, equations 6
 * and 8), in memory that does not grow with that number. Differentiating its gradient is an error.
 */
cf_value cf_contraction_log_det_estimate(const cf_contraction_params *params, cf_builder *b,
                                         cf_value x, cf_value *g);

/* The greatest |W| that any weights can have, and r. */
double cf_contraction_bound(double coefficient);
double cf_contraction_rate(const cf_contraction_net *net);

#endif
