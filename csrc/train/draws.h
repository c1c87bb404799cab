/* The objective of learning an unnormalised density by reverse Kullback-Leibler divergence: samples
 * of the flow, the target's log-density and its gradient there from a callback, and the gradient
 * through the sampling (Rezende and Mohamed 2015, arXiv:1505.05770). The loss is the mean of
 * log q(x) - log p(x).
 */
#ifndef CF_TRAIN_DRAWS_H
#define CF_TRAIN_DRAWS_H

#include "flow/flow.h"
#include "train/loop.h"

/* The target: for `rows` samples x, [rows][features] of cf_draws_dtype, and the numbers of their
 * contexts' rows (NULL in a flow without), fills log_density, by row, and gradient, of the shape of
 * x. False stops. */
typedef bool (*cf_target)(void *given, size_t rows, const void *x, const int64_t *context_rows,
                          double *log_density, double *gradient);

typedef struct {
    cf_array contexts; /* rows of which each sample gets a random one; data NULL in a flow without.
                          They stay as they are until cf_draws_free. */
    size_t context_rows;
    uint64_t steps, batch_size, seed;
    int threads;
} cf_draws_options;

typedef struct cf_draws cf_draws;

cf_status cf_draws_new(cf_draws **out, cf_flow *flow, const cf_draws_options *options);
void cf_draws_free(cf_draws *draws); /* NULL is accepted */

/* Sets the callback that the next steps ask for the target. */
void cf_draws_set_target(cf_draws *draws, cf_target target, void *given);

cf_objective cf_draws_objective(cf_draws *draws);

/* Of the samples that the target gets: the flow's, or float64 where its units need it. */
cf_dtype cf_draws_dtype(const cf_draws *draws);

/* (sum w)^2 / sum w^2 of w = p / q, over the samples of the last step. */
double cf_draws_effective_sample_size(const cf_draws *draws);

#endif
