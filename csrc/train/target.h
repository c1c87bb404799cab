/* Learning an unnormalised density by reverse Kullback-Leibler divergence: samples of the flow, the
 * target's log-density and its gradient there from a callback, and one step along the gradient
 * through the sampling (Rezende and Mohamed 2015, arXiv:1505.05770).
 *
 * A trainer holds its flow from new to free, as cf_trainer does.
 */
#ifndef CF_TRAIN_TARGET_H
#define CF_TRAIN_TARGET_H

#include "engine/array.h"
#include "flow/flow.h"
#include "train/optimizers/optimizer.h"
#include "train/schedules/schedule.h"

/* The target: for `rows` samples x of the flow's dtype, [rows][features], and the numbers of their
 * contexts' rows (NULL in a flow without), fills log_density, by row, and gradient, of the shape of
 * x. False stops. */
typedef bool (*cf_target)(void *given, size_t rows, const void *x, const int64_t *context_rows,
                          double *log_density, double *gradient);

typedef struct {
    const cf_spec *optimizer, *schedule; /* retained */
    uint64_t steps, batch_size;
    double clip_norm; /* of the gradient; 0: not clipped */
    uint64_t seed;
    int threads;
} cf_target_options;

typedef struct {
    double elbo;                  /* mean of log p(x) - log q(x): at most the log of p's integral */
    double effective_sample_size; /* (sum w)^2 / sum w^2 of w = p / q, over the rows */
    bool skipped;                 /* the loss or its gradient was not finite: no step was made */
} cf_target_report;

typedef struct cf_target_trainer cf_target_trainer;

/* `contexts` are rows, of which each sample gets one by chance; data NULL in a flow without. They
 * must stay as they are until cf_target_trainer_free. */
cf_status cf_target_trainer_new(cf_target_trainer **out, cf_flow *flow, cf_array contexts,
                                size_t context_rows, const cf_target_options *options);

/* One step. *stopped: the target returned false, nothing has changed. CF_NUMERICAL after 20 skipped
 * steps in a row; the parameters are those after the last step that was made. */
cf_status cf_target_trainer_step(cf_target_trainer *trainer, cf_target target, void *given,
                                 cf_target_report *report, bool *stopped);

void cf_target_trainer_free(cf_target_trainer *trainer); /* NULL is accepted */

#endif
