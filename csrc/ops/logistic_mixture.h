/* The map of a number by the cumulative distribution of a mixture of logistic distributions (Ho et
 * al. 2019, Flow++, arXiv:1902.00275, section 3.2). */
#ifndef CF_OPS_LOGISTIC_MIXTURE_H
#define CF_OPS_LOGISTIC_MIXTURE_H

#include "ops/ops.h"

enum { CF_MAX_COMPONENTS = 64 };

typedef struct {
    int components;   /* K, 1 to CF_MAX_COMPONENTS */
    double spread;    /* where unconstrained means are 0, means go in equal steps from -spread to
                         spread */
    double min_scale; /* b = -log(min_scale): log(scale_k) is params / (1 + |params| / b) */
} cf_logistic_mixture;

/* y = logit(F(x)) with log_det = sum of log(dy/dx), F being the distribution function of the
 * mixture of each feature; or x of y. params: K logits of the weights, K means, K log-scales,
 * number p of feature f at p features(x) + f. */
cf_value cf_logistic_mixture_map(cf_builder *b, const cf_logistic_mixture *mixture, cf_value x,
                                 cf_value params, bool inverse, cf_value *log_det);

/* The parameters of all ops of mixtures. */
typedef struct {
    bool inverse; /* x is stored in place of y */
    int components;
    double spread;
    double inverse_bound; /* 1 / b */
} cf_mixture_params;

/* The rule of the gradient of either direction: mixture_formula.c. */
void cf_logistic_mixture_gradient_rule(cf_builder *b, const cf_node *node, cf_value out,
                                       cf_value dout, const bool *needed, cf_value *dx);

/* The root alone, without a gradient: x of y, params batched, and the op's parameters. */
cf_value cf_logistic_mixture_root(cf_builder *b, cf_value y, cf_value params,
                                  const cf_mixture_params *op_params);

#endif
