/* Learning by maximum likelihood: epochs of shuffled minibatches, validation, the best weights.
 *
 * A trainer holds its flow from new to free: other calls on the flow fail with CF_BUSY meanwhile.
 * All that the next epoch depends on is in the parameters, the buffers and cf_trainer_state, so
 * that a run resumed from them at the end of an epoch is bitwise the uninterrupted run.
 */
#ifndef CF_TRAIN_TRAINER_H
#define CF_TRAIN_TRAINER_H

#include "train/data.h"
#include "train/optimizers/optimizer.h"
#include "train/schedules/schedule.h"

typedef struct {
    const cf_spec *optimizer, *schedule;
    uint64_t epochs, batch_size;
    uint64_t patience; /* epochs without a better validation loss before stopping; 0: never */
    double clip_norm;  /* of the gradient; 0: not clipped */
    const double
        *jitter; /* by feature: uniform noise on [0, jitter) added afresh to every row; or NULL */
    uint64_t seed;
    int threads;
} cf_train_options;

/* What a trainer carries from epoch to epoch, beside the arrays. */
typedef struct {
    uint64_t epoch, step, rows_drawn, skipped, skipped_in_a_row;
    uint64_t best_epoch, waited; /* the epoch with the best loss, and epochs since */
    uint64_t has_best;
    double best_loss;
    cf_plateau plateau;
} cf_train_progress;

/* What is to be saved, and to be set before the first epoch: the optimiser's arrays
 * (cf_optimizer_arrays) and the best weights, of the parameter slab's layout; the buffers that go
 * with these; the progress. */
typedef struct {
    size_t elements, buffer_elements;
    cf_dtype dtype;
    cf_optimizer *optimizer;
    void *best;
    double *best_buffers;
    cf_train_progress *progress;
} cf_train_state;

typedef enum { CF_RUNNING, CF_STOP_EPOCHS, CF_STOP_PATIENCE, CF_STOP_INTERRUPTED } cf_stop;

typedef struct {
    uint64_t epoch; /* from 1 */
    uint64_t step, steps_per_epoch, skipped;
    double train,
        validation; /* mean negative log-likelihood in nats; validation NaN without such data */
    double learning_rate;
    bool best;
    cf_stop stop;
} cf_epoch_report;

/* Called at most every 100 ms, with what the present epoch has so far; true stops the training. */
typedef bool (*cf_poll)(void *context, const cf_epoch_report *so_far, uint64_t rows_in_epoch);

typedef struct cf_trainer cf_trainer;

/* Checks all data and settings and takes hold of the flow, which is unchanged. The data must stay
 * as they are until cf_trainer_free; the specs are retained. validation may be NULL. */
cf_status cf_trainer_new(cf_trainer **out, cf_flow *flow, const cf_data *train,
                         const cf_data *validation, const cf_train_options *options);

/* One epoch; the first sets an open data-side Affine (cf_data_standardize). poll may be NULL. Once
 * report->stop is not CF_RUNNING no further epoch may be run; one that poll stops is left
 * unfinished. CF_NUMERICAL after 20 steps in a row whose loss or gradient was not finite, or if the
 * last epoch ends so after a whole epoch of such steps, or with weights that are not finite: then
 * weights and buffers are those of the epoch with the best loss, or without one those at the start.
 */
cf_status cf_trainer_epoch(cf_trainer *trainer, cf_poll poll, void *context,
                           cf_epoch_report *report);

/* Why no epoch is to follow, as far as that depends on the epochs run; CF_RUNNING if one is. */
cf_stop cf_trainer_stop(const cf_trainer *trainer);

cf_train_state cf_trainer_state(cf_trainer *trainer);

/* CF_INVALID unless the trainer could have come to that progress. */
cf_status cf_trainer_check(const cf_trainer *trainer, const cf_train_progress *progress);

/* Puts the weights of the epoch with the best validation loss in place, if there is one. */
void cf_trainer_restore_best(cf_trainer *trainer);

/* Lets go of the flow; NULL is accepted. */
void cf_trainer_free(cf_trainer *trainer);

#endif
