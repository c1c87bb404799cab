/* The flow: a chain of layers over a base distribution, with its parameters.
 *
 * Parameters lie in one slab of the flow's dtype, gradients in another of the same layout; fixed
 * buffers are float64. Any number of threads may compute with one flow at once, as long as none
 * writes its parameters. While it is being fitted, other calls fail with CF_BUSY.
 */
#ifndef CF_FLOW_FLOW_H
#define CF_FLOW_FLOW_H

#include "dist/base.h"
#include "engine/run.h"
#include "layers/layer.h"

typedef struct cf_flow cf_flow;

/* What a flow is made of. Members that are left out are 0 or NULL. */
typedef struct {
    cf_spec *const *layers; /* base to data */
    size_t layer_count;
    cf_spec *base;      /* NULL: the standard normal */
    cf_spec *embedding; /* NULL: layers and base see the context as it is */
    cf_shape shape;     /* of a sample of the data */
    size_t context;     /* context features; 0: none */
    cf_dtype dtype;
    uint64_t seed; /* of the weights, which are freshly drawn, and of random permutations */
    /* For descriptions that are not trusted: a slab of more elements is CF_INVALID, before there is
     * room for it. 0: no such limit. */
    size_t most_parameters;
} cf_flow_parts;

/* A new flow; it retains the specs. */
cf_status cf_flow_new(cf_flow **out, const cf_flow_parts *parts);
void cf_flow_free(cf_flow *flow);

/* The same flow with copies of its parameters and buffers, in the given dtype. CF_BUSY while they
 * change (cf_flow_read). */
cf_status cf_flow_copy(cf_flow **out, const cf_flow *flow, cf_dtype dtype);

cf_shape cf_flow_shape(const cf_flow *flow);      /* of x */
cf_shape cf_flow_base_shape(const cf_flow *flow); /* of u */
size_t cf_flow_features(const cf_flow *flow);     /* of x */
size_t cf_flow_context(const cf_flow *flow);      /* before any embedding */
cf_dtype cf_flow_dtype(const cf_flow *flow);
uint64_t cf_flow_seed(const cf_flow *flow);
const cf_layer *cf_flow_chain(const cf_flow *flow);
const cf_base *cf_flow_base(const cf_flow *flow);
cf_spec *cf_flow_embedding(const cf_flow *flow); /* NULL if there is none */

/* The tables of named tensors, and the memory that they describe. */
const cf_slab_table *cf_flow_parameter_table(const cf_flow *flow);
const cf_slab_table *cf_flow_buffer_table(const cf_flow *flow);
void *cf_flow_parameters(const cf_flow *flow);
void *cf_flow_gradients(const cf_flow *flow);
double *cf_flow_buffers(const cf_flow *flow);

/* Copies `gradients`, of the slab's layout, into the flow's own. */
cf_status cf_flow_set_gradients(cf_flow *flow, const void *gradients);

/* Excludes parameters from gradients and training, or includes them again: those whose name matches
 * the pattern, in which * stands for any characters. *count = how many matched. */
cf_status cf_flow_freeze(cf_flow *flow, const char *pattern, bool frozen, size_t *count);

/* Rows in and out. Every array has `rows` rows; results that are not wanted have data NULL. The
 * context of a flow without context has data NULL, and so has to have; a context row_stride of 0 is
 * one row for all. */
typedef struct {
    size_t rows;
    int threads;
    cf_array x, context;
    cf_array dvalue,
        dlog_det; /* cotangents of the result and of its log_det (or of the log_prob: dlog_det) */
    cf_result value;          /* u or x */
    cf_result log_det;        /* one number a row: log_det, or log_prob */
    cf_result dx, dcontext;   /* cotangents of the inputs */
    uint64_t seed, first_row; /* of sampling */
    cf_mode mode;             /* what the program is for */
    bool means;               /* of stochastic layers, instead of draws */
    const double *jitter;     /* by feature, or NULL */
    bool want_gradients;      /* the parameters' too: into cf_flow_gradients, or `gradients` */
    void *gradients;          /* NULL: the flow's own slab */
} cf_flow_call;

/* x -> u or u -> x, with the log_det of that map. */
cf_status cf_flow_inverse(cf_flow *flow, const cf_flow_call *call);
cf_status cf_flow_forward(cf_flow *flow, const cf_flow_call *call);

/* log_prob of x into log_det; its gradient with respect to x (the score) into dx, if wanted. */
cf_status cf_flow_log_prob(cf_flow *flow, const cf_flow_call *call);

/* Samples into value and, if wanted, their log_prob into log_det. */
cf_status cf_flow_sample(cf_flow *flow, const cf_flow_call *call);

/* log_prob into log_det, and the gradient of the sum of dlog_det log_prob with respect to what is
 * wanted. */
cf_status cf_flow_log_prob_vjp(cf_flow *flow, const cf_flow_call *call);

/* The vector-Jacobian product of cf_flow_inverse or cf_flow_forward. */
cf_status cf_flow_inverse_vjp(cf_flow *flow, const cf_flow_call *call);
cf_status cf_flow_forward_vjp(cf_flow *flow, const cf_flow_call *call);

/* Copies the slabs; CF_BUSY while they change, which is while an epoch of training runs. */
cf_status cf_flow_read(const cf_flow *flow, void *parameters, double *buffers);

/* For the trainer: from here on the parameters change, or do no longer. */
void cf_flow_set_changing(cf_flow *flow, bool changing);

/* For the trainer: while held, the calls above fail with CF_BUSY. CF_BUSY if any of them is
 * running. */
cf_status cf_flow_lock(cf_flow *flow);
void cf_flow_unlock(cf_flow *flow);
/* cf_flow_log_prob and cf_flow_log_prob_vjp for whoever holds the flow. */
cf_status cf_flow_log_prob_held(cf_flow *flow, const cf_flow_call *call);
cf_status cf_flow_log_prob_vjp_held(cf_flow *flow, const cf_flow_call *call);
/* cf_flow_sample for whoever holds the flow, and the gradient through it: of the sum of dvalue
 * times the samples and of dlog_det times their log_prob, as the samples of the same seed and rows
 * move with the parameters. */
cf_status cf_flow_sample_held(cf_flow *flow, const cf_flow_call *call);
cf_status cf_flow_sample_vjp_held(cf_flow *flow, const cf_flow_call *call);

/* For the trainer: sets the parameters that statistics of the data decide, unless one of them has
 * been changed already, from the rows x; overwrites the gradients. */
cf_status cf_flow_start_held(cf_flow *flow, const cf_flow_call *call);

/* CF_INVALID if the density of samples cannot be told with them, for a layer is stochastic. */
cf_status cf_flow_check_density(const cf_flow *flow);

/* Whether a layer computes with statistics of the batch in training. */
bool cf_flow_has_batch_statistics(const cf_flow *flow);

/* For the trainer: mixes the statistics of the batch, which the last cf_flow_log_prob_vjp_held left
 * in the gradients, into the running ones. */
void cf_flow_mix_statistics(cf_flow *flow);

#endif
