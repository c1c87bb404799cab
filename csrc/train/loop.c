#include "train/loop.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "train/average.h"
#include "train/optimizers/chunks.h"

enum { MAX_SKIPPED = 20, POLL_MILLISECONDS = 100 };

struct cf_training {
    cf_objective objective;
    cf_model *model;
    bool locked, in_epoch, diverged;
    cf_training_options options;
    cf_optimizer *optimizer;
    cf_spec *schedule;
    cf_training_progress progress;
    void *best; /* until there is one, the weights at the start */
    double *best_buffers;
    cf_average average; /* of the weights */
};

/* An epoch under way, and the callback that it reports to. */
struct cf_interrupt {
    cf_epoch_report *report;
    uint64_t rows; /* done */
    cf_poll poll;
    void *context;
    struct timespec polled;
};

/* ---- life ---- */

static cf_status check_options(const cf_training *loop) {
    const cf_training_options *o = &loop->options;
    CF_TRY(cf_optimizer_check(o->optimizer, cf_model_dtype(loop->model)));
    CF_TRY(cf_schedule_check(o->schedule));
    if (!o->keep_best && cf_schedule_observes(o->schedule))
        return cf_fail(CF_INVALID,
                       "a plateau schedule needs epochs, which single steps do not have");
    if (!(o->clip_norm >= 0.0))
        return cf_fail(CF_INVALID, "clip_norm must be 0 or more, got %g", o->clip_norm);
    if (!(o->ema >= 0.0 && o->ema < 1.0))
        return cf_fail(CF_INVALID, "ema must be from 0 to below 1, got %g", o->ema);
    return CF_OK;
}

static void keep_best(cf_training *loop) {
    memcpy(loop->best, cf_model_parameters(loop->model), cf_model_parameter_bytes(loop->model));
    memcpy(loop->best_buffers, cf_model_buffers(loop->model), cf_model_buffer_bytes(loop->model));
}

/* Other threads may copy the model in between, but not while numbers are written. */
static void begin_change(cf_training *loop) {
    cf_model_set_changing(loop->model, true);
}

static void end_change(cf_training *loop) {
    cf_model_set_changing(loop->model, loop->in_epoch);
}

static void put_best(cf_training *loop) {
    if (loop->best == NULL)
        return;
    begin_change(loop);
    memcpy(cf_model_parameters(loop->model), loop->best, cf_model_parameter_bytes(loop->model));
    memcpy(cf_model_buffers(loop->model), loop->best_buffers, cf_model_buffer_bytes(loop->model));
    end_change(loop);
}

static void put_average(cf_training *loop) {
    begin_change(loop);
    cf_average_put(&loop->average, loop->model);
    end_change(loop);
}

static void swap_average(cf_training *loop) {
    begin_change(loop);
    cf_average_swap(&loop->average, loop->model);
    end_change(loop);
}

static cf_status begin(cf_training *loop) {
    CF_TRY(check_options(loop));
    CF_TRY(cf_model_lock(loop->model));
    loop->locked = true;
    loop->schedule = cf_spec_retain(loop->options.schedule);
    CF_TRY(cf_optimizer_new(&loop->optimizer, loop->options.optimizer,
                            cf_model_parameter_table(loop->model), cf_model_dtype(loop->model),
                            loop->options.threads));
    loop->progress.best_loss = INFINITY;
    loop->progress.plateau = cf_plateau_start();
    if (loop->options.ema > 0.0)
        CF_TRY(cf_average_new(&loop->average, loop->model, loop->options.ema));
    if (!loop->options.keep_best)
        return CF_OK;
    CF_TRY(cf_alloc(&loop->best, cf_model_parameter_bytes(loop->model), 1));
    CF_TRY(cf_alloc(&loop->best_buffers, cf_model_buffer_bytes(loop->model), 1));
    keep_best(loop);
    return CF_OK;
}

cf_status cf_training_new(cf_training **out, const cf_objective *objective,
                          const cf_training_options *options) {
    cf_training *loop;
    *out = NULL;
    CF_TRY(cf_alloc(&loop, 1, sizeof *loop));
    loop->objective = *objective;
    loop->model = objective->model;
    loop->options = *options;
    cf_status status = begin(loop);
    if (status != CF_OK)
        cf_training_free(loop);
    else
        *out = loop;
    return status;
}

void cf_training_free(cf_training *loop) {
    if (loop == NULL)
        return;
    if (loop->locked)
        cf_model_unlock(loop->model);
    cf_optimizer_free(loop->optimizer);
    cf_spec_free(loop->schedule);
    cf_average_free(&loop->average);
    cf_free(loop->best);
    cf_free(loop->best_buffers);
    cf_free(loop);
}

/* ---- state ---- */

cf_training_state cf_training_get_state(cf_training *loop) {
    return (cf_training_state){.elements = cf_model_parameter_table(loop->model)->elements,
                               .buffer_elements = cf_model_buffer_table(loop->model)->elements,
                               .dtype = cf_model_dtype(loop->model),
                               .optimizer = loop->optimizer,
                               .best = loop->best,
                               .best_buffers = loop->best_buffers,
                               .average = loop->average.weights,
                               .progress = &loop->progress};
}

cf_status cf_training_check(const cf_training *loop, const cf_training_progress *p) {
    bool counts = p->epoch <= loop->options.epochs && p->step <= p->rows_drawn &&
                  p->skipped_in_a_row <= p->skipped && p->skipped_in_a_row < MAX_SKIPPED &&
                  p->best_epoch <= p->epoch && p->waited <= p->epoch && p->has_best <= 1 &&
                  p->plateau.waited <= p->epoch;
    bool losses = !isnan(p->best_loss) && !isnan(p->plateau.best) && p->plateau.factor >= 0.0 &&
                  p->plateau.factor <= 1.0;
    if (!counts || !losses)
        return cf_fail(CF_INVALID, "the progress is not one that this training could have made");
    return CF_OK;
}

static cf_status settle(cf_training *loop, bool last) {
    if (loop->objective.settle == NULL)
        return CF_OK;
    begin_change(loop);
    cf_status status =
        loop->objective.settle(loop->objective.self, loop->progress.rows_drawn, last);
    end_change(loop);
    return status;
}

cf_status cf_training_finish(cf_training *loop) {
    if (loop->objective.validate != NULL && loop->progress.has_best)
        put_best(loop);
    else
        put_average(loop);
    return loop->progress.step > 0 && !loop->diverged ? settle(loop, true) : CF_OK;
}

/* ---- steps ---- */

static double schedule_factor(const cf_training *loop) {
    return cf_schedule_factor(loop->schedule, &loop->progress.plateau, loop->progress.step,
                              loop->objective.steps_per_epoch * loop->options.epochs);
}

/* Puts the best weights in place, and fails. Epochs count from 1. */
static cf_status diverged(cf_training *loop, uint64_t epoch) {
    const cf_training_progress *p = &loop->progress;
    put_best(loop);
    loop->diverged = true;
    if (!loop->options.keep_best)
        return cf_fail(CF_NUMERICAL,
                       "%llu steps in a row led to a loss or a gradient that is not "
                       "finite; %s",
                       (unsigned long long)p->skipped_in_a_row, loop->objective.advice);
    return cf_fail(CF_NUMERICAL,
                   "training diverged: %llu steps in a row, the last in epoch %llu, led to a loss, "
                   "a gradient or weights that are not finite; %s",
                   (unsigned long long)p->skipped_in_a_row, (unsigned long long)epoch,
                   loop->objective.advice);
}

/* Moves the parameters along the gradient in the model's slab. */
static void update(cf_training *loop, double norm) {
    cf_gradient_step step = {.number = loop->progress.step + 1,
                             .schedule = schedule_factor(loop),
                             .clip = cf_clip_factor(norm, loop->options.clip_norm),
                             .gradients = cf_model_gradients(loop->model),
                             .parameters = cf_model_parameters(loop->model)};
    cf_optimizer_step(loop->optimizer, &step);
    loop->progress.step++;
    cf_model_mix_statistics(loop->model);
    cf_average_add(&loop->average, loop->model, loop->progress.step);
}

/* One step; one whose loss or gradient is not finite is skipped and counted. */
static cf_status make_step(cf_training *loop, uint64_t number, cf_batch_result *batch,
                           cf_step_report *report) {
    cf_training_progress *p = &loop->progress;
    *batch = (cf_batch_result){0};
    CF_TRY(loop->objective.gradient(loop->objective.self, number, p->rows_drawn, batch));
    *report = (cf_step_report){.loss = batch->loss, .stopped = batch->stopped};
    if (batch->stopped)
        return CF_OK;
    p->rows_drawn += batch->samples;
    double norm = cf_gradient_norm(loop->optimizer, cf_model_gradients(loop->model));
    report->skipped = !isfinite(batch->loss) || !isfinite(norm);
    if (report->skipped) {
        p->skipped++;
        return ++p->skipped_in_a_row < MAX_SKIPPED ? CF_OK : diverged(loop, p->epoch + 1);
    }
    p->skipped_in_a_row = 0;
    begin_change(loop);
    update(loop, norm);
    end_change(loop);
    return CF_OK;
}

/* Prepares the steps of an epoch. Before the first of all steps the data may set parameters, with
 * which the average then begins. */
static cf_status begin_steps(cf_training *loop, bool first) {
    const cf_objective *objective = &loop->objective;
    begin_change(loop);
    cf_status status = objective->begin_epoch(objective->self, loop->progress.epoch, first);
    if (status == CF_OK && first)
        cf_average_start(&loop->average, loop->model);
    end_change(loop);
    return status;
}

cf_status cf_training_step(cf_training *loop, cf_step_report *report) {
    cf_batch_result batch;
    if (loop->progress.step == 0 && loop->objective.begin_epoch != NULL)
        CF_TRY(begin_steps(loop, true));
    return make_step(loop, loop->progress.step, &batch, report);
}

/* ---- epochs ---- */

static bool time_to_poll(struct timespec *last) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    long passed =
        (long)(now.tv_sec - last->tv_sec) * 1000 + (now.tv_nsec - last->tv_nsec) / 1000000;
    if (passed >= 0 && passed < POLL_MILLISECONDS)
        return false;
    *last = now;
    return true;
}

bool cf_interrupted(cf_interrupt *i) {
    if (i->poll != NULL && time_to_poll(&i->polled) && i->poll(i->context, i->report, i->rows))
        i->report->stop = CF_STOP_INTERRUPTED;
    return i->report->stop == CF_STOP_INTERRUPTED;
}

/* All steps of an epoch; sets report->train. Returns early when interrupted. */
static cf_status run_steps(cf_training *loop, cf_interrupt *interrupt) {
    cf_epoch_report *report = interrupt->report;
    size_t counted = 0;
    double sum = 0.0, penalties = 0.0;
    for (uint64_t i = 0; i < loop->objective.steps_per_epoch && !cf_interrupted(interrupt); i++) {
        cf_batch_result batch;
        cf_step_report step;
        CF_TRY(make_step(loop, i, &batch, &step));
        if (isfinite(batch.loss)) {
            sum += batch.loss * (double)batch.samples;
            penalties += batch.penalty * (double)batch.samples;
            counted += batch.samples;
        }
        report->train = counted > 0 ? sum / (double)counted : NAN;
        report->penalty = counted > 0 ? penalties / (double)counted : NAN;
        report->step = loop->progress.step;
        report->skipped = loop->progress.skipped;
        interrupt->rows += batch.samples;
    }
    return CF_OK;
}

static bool weights_are_finite(const cf_training *loop) {
    return cf_all_finite(cf_model_parameters(loop->model),
                         cf_model_parameter_table(loop->model)->elements,
                         cf_model_dtype(loop->model));
}

/* Keeps the weights if they are the best so far. Without validation the training loss decides, and
 * they matter only if a later epoch diverges. */
static void update_best(cf_training *loop, double loss) {
    cf_training_progress *p = &loop->progress;
    p->waited++;
    if (!(loss < p->best_loss))
        return;
    if (loop->objective.validate == NULL && (p->skipped_in_a_row > 0 || !weights_are_finite(loop)))
        return;
    p->best_loss = loss;
    p->best_epoch = p->epoch;
    p->waited = 0;
    p->has_best = 1;
    keep_best(loop);
}

cf_stop cf_training_stop(const cf_training *loop) {
    const cf_training_progress *p = &loop->progress;
    uint64_t patience = loop->objective.validate != NULL ? loop->options.patience : 0;
    if (p->epoch >= loop->options.epochs)
        return CF_STOP_EPOCHS;
    return patience > 0 && p->waited >= patience ? CF_STOP_PATIENCE : CF_RUNNING;
}

/* Puts the weights of the start in place, and fails: no epoch was the best. */
static cf_status unvalidated(cf_training *loop) {
    put_best(loop);
    loop->diverged = true;
    return cf_fail(CF_NUMERICAL,
                   "the validation loss was not finite in any of %llu epochs, although training "
                   "went well: look for validation rows that are far from the training rows",
                   (unsigned long long)loop->progress.epoch);
}

/* Checks the end of the last epoch. Without validation nothing else notices that the last steps led
 * nowhere. A few skipped steps, due to rows that are always too far out, are no sign of that. */
static cf_status check_end(cf_training *loop) {
    const cf_training_progress *p = &loop->progress;
    if (loop->objective.validate != NULL && p->has_best)
        return CF_OK;
    bool sound = p->skipped_in_a_row < loop->objective.steps_per_epoch && weights_are_finite(loop);
    if (sound && loop->objective.validate != NULL)
        return unvalidated(loop);
    return sound && p->has_best ? CF_OK : diverged(loop, p->epoch);
}

/* Validates, with the averaged weights if they are averaged, and updates the best ones. */
static cf_status end_epoch(cf_training *loop, cf_interrupt *interrupt) {
    cf_epoch_report *report = interrupt->report;
    cf_status status = CF_OK;
    swap_average(loop);
    if (loop->objective.validate != NULL)
        status = settle(loop, false);
    if (loop->objective.validate != NULL && status == CF_OK)
        status = loop->objective.validate(loop->objective.self, interrupt, &report->validation);
    if (status == CF_OK && report->stop != CF_STOP_INTERRUPTED) {
        loop->progress.epoch++;
        update_best(loop, loop->objective.validate != NULL ? report->validation : report->train);
    }
    swap_average(loop);
    return status;
}

/* Runs the steps, during which the parameters change. */
static cf_status run_epoch(cf_training *loop, cf_interrupt *interrupt) {
    loop->in_epoch = true;
    cf_status status = begin_steps(loop, loop->progress.rows_drawn == 0);
    if (status == CF_OK)
        status = run_steps(loop, interrupt);
    loop->in_epoch = false;
    end_change(loop);
    return status;
}

cf_status cf_training_epoch(cf_training *loop, cf_poll poll, void *context,
                            cf_epoch_report *report) {
    cf_training_progress *p = &loop->progress;
    cf_interrupt interrupt = {.report = report, .poll = poll, .context = context};
    timespec_get(&interrupt.polled, TIME_UTC);
    *report = (cf_epoch_report){.epoch = p->epoch + 1,
                                .step = p->step,
                                .steps_per_epoch = loop->objective.steps_per_epoch,
                                .skipped = p->skipped,
                                .train = NAN,
                                .validation = NAN,
                                .learning_rate =
                                    cf_optimizer_rate(loop->optimizer) * schedule_factor(loop)};
    CF_TRY(run_epoch(loop, &interrupt));
    CF_TRY(end_epoch(loop, &interrupt));
    if (report->stop == CF_STOP_INTERRUPTED)
        return CF_OK;
    bool validated = loop->objective.validate != NULL;
    cf_schedule_observe(loop->schedule, &p->plateau,
                        validated ? report->validation : report->train);
    report->best = validated && p->best_epoch == p->epoch;
    report->stop = cf_training_stop(loop);
    return report->stop == CF_RUNNING ? CF_OK : check_end(loop);
}
