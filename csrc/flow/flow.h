/* The flow: a model that carries a base distribution to the data by a chain of layers.
 *
 * Its functions, inputs -> outputs; those in brackets may be left out:
 *
 *     inverse    x [context]                         -> u, log_det
 *     forward    u [context]                         -> x, log_det
 *     log_prob   x [context] [jitter] [kl_weight]    -> log_prob
 *     score      x [context]                         -> score, log_prob
 *     sample     [context]                           -> x, log_prob
 *     start      x [context] [jitter]                -> nothing: in a CF_STARTING program,
 * statistics encode     x [context]                         -> z      of flows whose last layer is
 * stochastic decode     z [context]                         -> x      likewise
 *
 * Points are rows of numbers, images channel by channel. A flow without context has no such input,
 * and one with context needs it. log_prob's jitter is the width, by feature, of uniform noise added
 * to x; kl_weight multiplies gradients of a Variational layer's prior and posterior.
 */
#ifndef CF_FLOW_FLOW_H
#define CF_FLOW_FLOW_H

#include "dist/base.h"
#include "layers/layer.h"
#include "model/model.h"
#include "nn/embedding.h"

/* The bound parts of a flow, which live in its model. */
typedef struct {
    cf_model *model;
    cf_shape shape, base_shape; /* of x and of u */
    cf_embedding embedding;
    cf_layer chain;
    cf_base base;
} cf_flow;

/* What a flow is made of. Members that are left out are 0 or NULL. */
typedef struct {
    cf_spec *const *layers; /* base to data */
    size_t layer_count;
    cf_spec *base;      /* NULL: the standard normal */
    cf_spec *embedding; /* NULL: layers and base see the context as it is */
    cf_shape shape;     /* of a sample of the data */
    size_t context;     /* context features; 0: none */
    cf_dtype dtype;
    uint64_t seed;         /* of the weights, which are freshly drawn, and of random permutations */
    size_t max_parameters; /* as of cf_model_new */
} cf_flow_parts;

/* A new flow; it retains the specs. It is freed by cf_model_free(flow->model). */
cf_status cf_flow_new(cf_flow **out, const cf_flow_parts *parts);

/* The same flow with copies of its parameters and buffers, in the given dtype. CF_BUSY while they
 * change (cf_model_read). */
cf_status cf_flow_copy(cf_flow **out, const cf_flow *flow, cf_dtype dtype);

size_t cf_flow_features(const cf_flow *flow); /* of x */
size_t cf_flow_context(const cf_flow *flow);  /* before any embedding */

/* Whether data may lie outside of the domain of a layer or the base. */
bool cf_flow_is_limited(const cf_flow *flow);

/* CF_INVALID if the density of samples cannot be told with them, for a layer is stochastic. */
cf_status cf_flow_check_density(const cf_flow *flow);

/* Adds the functions; for cf_flow_new. */
cf_status cf_flow_add_functions(cf_flow *flow);

#endif
