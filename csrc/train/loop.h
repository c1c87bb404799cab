/* The loop of all training: steps along the gradient of an objective, with one rule for what is
 * skipped, clipped, scheduled, averaged and kept.
 *
 * The loop asks its objective for the loss of a batch and its gradient, and nothing else. It holds
 * the model from new to free: other calls fail with CF_BUSY meanwhile. All that the next step
 * depends on is in the parameters, the buffers and cf_training_state, so that a run resumed from
 * them at the end of an epoch is bitwise the uninterrupted run.
 */
#ifndef CF_TRAIN_LOOP_H
#define CF_TRAIN_LOOP_H

#include "cflows.h"
#include "model/model.h"
#include "train/optimizers/optimizer.h"
#include "train/schedules/schedule.h"

/* What one step of an objective found. */
typedef struct {
    double loss, penalty; /* penalty: what the gradient is of beside the loss */
    size_t samples;
    bool stopped; /* by the objective: the step is not made, and nothing has changed */
} cf_batch_result;

/* To be asked from time to time; true: return early. */
typedef struct cf_interrupt cf_interrupt;
bool cf_interrupted(cf_interrupt *interrupt);

/* What a loop minimises. */
typedef struct {
    cf_model *model;
    void *self;
    /* Before the steps of an epoch, numbered from 0; `first`: no step has been made yet. A loop of
     * single steps calls it before each step until one is made. */
    cf_status (*begin_epoch)(void *self, uint64_t epoch, bool first);
    /* The loss of step number `step` of the epoch and, in the model's gradient slab, its gradient.
     * `drawn` samples have been seen before: the counter of random numbers. */
    cf_status (*gradient)(void *self, uint64_t step, uint64_t drawn, cf_batch_result *result);
    /* The loss that decides which weights are best; NULL: that of training does. */
    cf_status (*validate)(void *self, cf_interrupt *interrupt, double *loss);
    /* Sets what follows from the weights and the data alone, before each validation and, `last`,
     * with the weights that training ends with, of `drawn` samples; NULL: nothing does. */
    cf_status (*settle)(void *self, uint64_t drawn, bool last);
    uint64_t steps_per_epoch;
    const char *advice; /* when training diverges */
} cf_objective;

typedef struct {
    const cf_spec *optimizer, *schedule; /* retained */
    uint64_t epochs;
    uint64_t patience; /* epochs without a better validation loss before stopping; 0: never */
    double clip_norm;  /* of the gradient; 0: not clipped */
    double ema; /* decay of the moving average of the weights, which is then what is validated and
                   kept; 0: none */
    bool keep_best; /* weights of the best epoch; false for loops of single steps */
    int threads;
} cf_training_options;

/* What a loop carries from step to step, beside the arrays. */
typedef struct {
    uint64_t epoch, step, rows_drawn, skipped, skipped_in_a_row;
    uint64_t best_epoch, waited; /* the epoch with the best loss, and epochs since */
    uint64_t has_best;
    double best_loss;
    cf_plateau plateau;
} cf_training_progress;

/* What a checkpoint saves, and what is set before the first epoch: arrays of the parameter slab's
 * layout, NULL where there is none; the buffers that go with the best weights; the progress. */
typedef struct {
    size_t elements, buffer_elements;
    cf_dtype dtype;
    cf_optimizer *optimizer; /* whose arrays are cf_optimizer_arrays */
    void *best;
    double *best_buffers, *average;
    cf_training_progress *progress;
} cf_training_state;

typedef struct {
    double loss;
    bool skipped; /* the loss or its gradient was not finite: no step was made */
    bool stopped; /* by the objective */
} cf_step_report;

typedef struct cf_training cf_training;

/* Checks the options and locks the model, which is unchanged. The objective must live until
 * cf_training_free. */
cf_status cf_training_new(cf_training **out, const cf_objective *objective,
                          const cf_training_options *options);

/* One epoch. poll may be NULL. Once report->stop is not CF_RUNNING no further epoch may be run; one
 * that poll stops is left unfinished. CF_NUMERICAL after 20 steps in a row whose loss or gradient
 * was not finite, or at the end of the last epoch if the steps of a whole epoch were such, or the
 * weights are not finite. Weights and buffers are then those of the epoch with the best loss or,
 * without one, those at the start. */
cf_status cf_training_epoch(cf_training *loop, cf_poll poll, void *context,
                            cf_epoch_report *report);

/* One step alone. CF_NUMERICAL after 20 skipped steps in a row; the parameters are those after the
 * last step that was made. */
cf_status cf_training_step(cf_training *loop, cf_step_report *report);

/* The stop reason, judged from completed epochs; CF_RUNNING if another is to follow. */
cf_stop cf_training_stop(const cf_training *loop);

cf_training_state cf_training_get_state(cf_training *loop);

/* CF_INVALID unless the loop could have reached that progress. */
cf_status cf_training_check(const cf_training *loop, const cf_training_progress *progress);

/* Puts in place the weights that training ends with: those of the epoch with the best validation
 * loss, if there is one, else the averaged ones, if they are averaged. They are then settled, after
 * a step at least, unless training diverged. */
cf_status cf_training_finish(cf_training *loop);

/* Unlocks the model; NULL is accepted. */
void cf_training_free(cf_training *loop);

#endif
