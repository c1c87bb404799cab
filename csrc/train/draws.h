/* The objectives of learning an unnormalised density: samples of the flow, the target's log-density
 * and, where it is needed, its gradient there from a callback, and the gradient of a divergence.
 * With w = p / q:
 *
 * - reverse Kullback-Leibler, the mean of log q(x) - log p(x), through the sampling (Rezende and
 *   Mohamed 2015, arXiv:1505.05770);
 * - forward Kullback-Leibler by self-normalised importance weights, whose gradient is
 *   -sum(w grad log q(x)) / sum(w) (Mueller et al. 2019, arXiv:1808.03856);
 * - either by path gradients, through the sampling alone: the cotangents of x are score - grad log
 *   p, by 1 / n or by w / sum(w), and log q has none (Roeder et al. 2017, arXiv:1703.09194; Tucker
 *   et al. 2019, arXiv:1810.04152; Vaitl et al. 2022, arXiv:2207.08219). Layers then act as they do
 *   when a flow is scored: without dropout, by running statistics;
 * - of rows that the caller brings the weighted mean of -log q(x).
 */
#ifndef CF_TRAIN_DRAWS_H
#define CF_TRAIN_DRAWS_H

#include "flow/flow.h"
#include "train/loop.h"

/* The target: for `rows` samples x, [rows][features] of cf_draws_dtype, and the numbers of their
 * contexts' rows (NULL in a flow without), fills log_density, by row, and gradient, of the shape of
 * x; that is NULL where no gradient is needed. False stops. */
typedef bool (*cf_target)(void *given, size_t rows, const void *x, const int64_t *context_rows,
                          double *log_density, double *gradient);

typedef struct {
    cf_array contexts; /* rows of which each sample gets a random one, or by forward
                          Kullback-Leibler each batch, whose samples are weighted among themselves;
                          data NULL in a flow without. They stay as they are until cf_draws_free. */
    size_t context_rows;
    bool forward, path_gradient;
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

/* Of the samples of the last step, with w = p / q. */
typedef struct {
    double elbo;                  /* mean log w */
    double effective_sample_size; /* (sum w)^2 / sum w^2 */
    double log_evidence;          /* log mean w */
} cf_draws_report;

cf_draws_report cf_draws_get_report(const cf_draws *draws);

/* The next steps minimise -sum(w log q(x)) of these rows, which must stay as they are meanwhile. */
void cf_draws_set_rows(cf_draws *draws, cf_array x, size_t rows, const double *weights);

/* `rows` samples, the number `first` on: x, of cf_draws_dtype, and their log_prob. The contexts
 * are one row at most, here and below. */
cf_status cf_draws_sample(cf_draws *draws, uint64_t first, size_t rows, void *x, double *log_prob);

/* log_prob of the rows x and, unless score is NULL, its gradient with respect to x. */
cf_status cf_draws_score(cf_draws *draws, cf_array x, size_t rows, double *log_prob, double *score);

#endif
