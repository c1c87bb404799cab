/* The flow: a model that carries a base distribution to the data by a chain of layers.
 *
 * Its functions, inputs -> outputs; those in brackets may be left out:
 *
 *     inverse    x [context]                         -> u, log_det
 *     forward    u [context]                         -> x, log_det
 *     log_prob   x [context] [jitter] [kl_weight]    -> log_prob
 *     score      x [context]                         -> score, log_prob
 *     sample     [context]                           -> x, log_prob
 *     initialise x [context] [jitter]                -> u, log_det; when initialising from data,
 *                                                       statistics
 *     encode     x [context]                         -> z, if the last layer is stochastic
 *     decode     z [context]                         -> x, likewise
 *
 * Points are rows of numbers, images channel by channel. A flow without context has no such input,
 * and one with context needs it. log_prob's jitter is the width, by feature, of uniform noise added
 * to x; kl_weight multiplies gradients of a Variational layer's prior and posterior.
 */
#ifndef CF_FLOW_FLOW_H
#define CF_FLOW_FLOW_H

#include "cflows.h"
#include "dist/base.h"
#include "layers/layer.h"
#include "model/model.h"
#include "nn/embedding.h"

/* The bound parts of a flow, which live in its model: cf_flow_free frees that. */
struct cf_flow {
    cf_model *model;
    cf_shape shape, base_shape;      /* of x and of u */
    const cf_fixed_map *context_map; /* what standardises the context, or NULL */
    cf_embedding embedding;
    cf_layer chain;
    cf_base base;
};

/* Whether data may lie outside of the domain of a layer or the base. */
bool cf_flow_has_restricted_domain(const cf_flow *flow);

/* Whether the flow is of float32, and its units are such that samples rounded to it would lose more
 * than the flow's own rounding: then they are given in float64, and so are gradients with respect
 * to x, which units beyond float32 would make overflow or vanish. */
bool cf_flow_exceeds_float32(const cf_flow *flow);

/* What layers and base see of the context, NaN where anything of it is unknown. */
cf_value cf_flow_see_context(const cf_flow *flow, cf_builder *b, cf_value context);

/* log_prob of x, given what is seen of the context, and *u, the point of the base that it comes
 * from. */
cf_value cf_flow_log_prob_at(const cf_flow *flow, cf_builder *b, cf_value x, cf_value seen,
                             cf_value *u);

/* After a call of "log_prob" or "score": NaN at a point that is infinite, or so far out that
 * squares are, becomes -inf or 0. */
void cf_flow_mend_far(const void *self, const cf_function_call *call);

/* CF_INVALID if samples cannot come with their density, because a layer is stochastic. */
cf_status cf_flow_check_density(const cf_flow *flow);

/* Adds the functions; for cf_flow_new. */
cf_status cf_flow_add_functions(cf_flow *flow);

#endif
