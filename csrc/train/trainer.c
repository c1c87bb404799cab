#include "train/trainer.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/philox.h"

enum {
    MOST_SKIPPED = 20,
    SCORED_AT_ONCE = 16384,    /* rows of the validation data */
    STARTED_FROM = 10000,      /* rows whose statistics decide where parameters start */
    STARTED_FROM_IMAGES = 256, /* each has many numbers a channel; all are held in memory at once */
    POLL_MILLISECONDS = 100,
};

struct cf_trainer {
    cf_flow *flow;
    bool holds_flow;
    cf_data train, validation; /* with weights and indices of their own; validation.rows 0: none */
    cf_train_options options;
    cf_optimizer *optimizer;
    cf_spec *schedule;
    cf_train_progress progress;
    void *best; /* until there is one, the weights at the start */
    double *best_buffers;
    double *jitter;
    size_t rows;        /* of the training data, without those of weight 0 */
    double mean_weight; /* of these */
    int64_t *order;     /* of them in the present epoch: positions in the training data */
    int64_t *batch;     /* of one batch: rows of the arrays */
    double *cotangents; /* of one batch */
    void *log_prob;     /* of one batch, or one piece of the validation data */
};

/* An epoch under way, and whom to tell. */
typedef struct {
    cf_epoch_report *report;
    uint64_t rows; /* done */
    cf_poll poll;
    void *context;
    struct timespec polled;
} watch;

static size_t slab_bytes(const cf_trainer *t) {
    return cf_flow_parameter_table(t->flow)->elements * cf_dtype_size(cf_flow_dtype(t->flow));
}

static size_t buffer_bytes(const cf_trainer *t) {
    return cf_flow_buffer_table(t->flow)->elements * sizeof(double);
}

static void keep_best(cf_trainer *t) {
    memcpy(t->best, cf_flow_parameters(t->flow), slab_bytes(t));
    memcpy(t->best_buffers, cf_flow_buffers(t->flow), buffer_bytes(t));
}

static void put_best(cf_trainer *t) {
    memcpy(cf_flow_parameters(t->flow), t->best, slab_bytes(t));
    memcpy(cf_flow_buffers(t->flow), t->best_buffers, buffer_bytes(t));
}

static cf_status check_options(const cf_train_options *o, const cf_data *train, cf_dtype dtype) {
    CF_TRY(cf_optimizer_check(o->optimizer, dtype));
    CF_TRY(cf_schedule_check(o->schedule));
    if (o->batch_size < 1 || o->batch_size > train->rows)
        return cf_fail(CF_INVALID,
                       "batch_size must be from 1 to the %zu rows of the training data, got %llu",
                       train->rows, (unsigned long long)o->batch_size);
    if (!(o->clip_norm >= 0.0))
        return cf_fail(CF_INVALID, "clip_norm must be 0 or more, got %g", o->clip_norm);
    return CF_OK;
}

static cf_status check_jitter(const cf_train_options *o, size_t features) {
    for (size_t f = 0; o->jitter != NULL && f < features; f++)
        if (!(o->jitter[f] >= 0.0 && isfinite(o->jitter[f])))
            return cf_fail(CF_INVALID, "jitter must be 0 or more, got %g for column %zu",
                           o->jitter[f], f);
    return CF_OK;
}

static cf_status check(const cf_trainer *t) {
    size_t features = cf_flow_features(t->flow), context = cf_flow_context(t->flow);
    CF_TRY(cf_data_check(&t->train, features, context, "training data"));
    if (t->validation.rows > 0)
        CF_TRY(cf_data_check(&t->validation, features, context, "validation data"));
    CF_TRY(check_options(&t->options, &t->train, cf_flow_dtype(t->flow)));
    return check_jitter(&t->options, features);
}

static cf_status allocate(cf_trainer *t) {
    cf_dtype dtype = cf_flow_dtype(t->flow);
    size_t batch = (size_t)t->options.batch_size, features = cf_flow_features(t->flow);
    size_t scored = batch > SCORED_AT_ONCE ? batch : SCORED_AT_ONCE;
    CF_TRY(cf_optimizer_new(&t->optimizer, t->options.optimizer, cf_flow_parameter_table(t->flow),
                            dtype, t->options.threads));
    CF_TRY(cf_alloc(&t->best, slab_bytes(t), 1));
    CF_TRY(cf_alloc(&t->best_buffers, buffer_bytes(t), 1));
    CF_TRY(cf_alloc(&t->order, t->rows, sizeof *t->order));
    CF_TRY(cf_alloc(&t->batch, batch, sizeof *t->batch));
    CF_TRY(cf_alloc(&t->cotangents, batch, sizeof *t->cotangents));
    CF_TRY(cf_alloc(&t->log_prob, scored, cf_dtype_size(dtype)));
    if (t->options.jitter != NULL) {
        CF_TRY(cf_alloc(&t->jitter, features, sizeof *t->jitter));
        memcpy(t->jitter, t->options.jitter, features * sizeof *t->jitter);
    }
    return CF_OK;
}

/* An epoch's steps, of as many rows as each other, or one less. */
static uint64_t steps_per_epoch(const cf_trainer *t) {
    return (t->rows + t->options.batch_size - 1) / t->options.batch_size;
}

/* The first row, in the epoch's order, of step `step` of the epoch. */
static size_t first_of(const cf_trainer *t, uint64_t step) {
    uint64_t steps = steps_per_epoch(t), least = t->rows / steps, more = t->rows % steps;
    return (size_t)(step * least + (step < more ? step : more));
}

static cf_status count_rows(cf_trainer *t) {
    for (size_t i = 0; i < t->train.rows; i++)
        t->rows += cf_data_weight(&t->train, i) > 0.0;
    t->mean_weight = cf_data_mean_weight(&t->train) * ((double)t->train.rows / (double)t->rows);
    if (cf_flow_has_batch_statistics(t->flow) && t->rows / steps_per_epoch(t) < 2)
        return cf_fail(CF_INVALID,
                       "BatchNorm learns from batches of two rows or more, got batch_size %llu for "
                       "%zu rows",
                       (unsigned long long)t->options.batch_size, t->rows);
    return CF_OK;
}

static cf_status begin(cf_trainer *t, const cf_data *train, const cf_data *validation) {
    CF_TRY(cf_data_copy(&t->train, train));
    if (validation != NULL)
        CF_TRY(cf_data_copy(&t->validation, validation));
    CF_TRY(check(t));
    t->schedule = cf_spec_retain(t->options.schedule);
    CF_TRY(cf_flow_lock(t->flow));
    t->holds_flow = true;
    CF_TRY(count_rows(t));
    CF_TRY(allocate(t));
    t->progress.best_loss = INFINITY;
    t->progress.plateau = cf_plateau_start();
    keep_best(t);
    return CF_OK;
}

cf_status cf_trainer_new(cf_trainer **out, cf_flow *flow, const cf_data *train,
                         const cf_data *validation, const cf_train_options *options) {
    cf_trainer *t;
    *out = NULL;
    if (validation != NULL && validation->rows == 0)
        return cf_fail(CF_INVALID, "validation data: no rows");
    CF_TRY(cf_alloc(&t, 1, sizeof *t));
    t->flow = flow;
    t->options = *options;
    cf_status status = begin(t, train, validation);
    if (status != CF_OK)
        cf_trainer_free(t);
    else
        *out = t;
    return status;
}

void cf_trainer_free(cf_trainer *t) {
    if (t == NULL)
        return;
    if (t->holds_flow)
        cf_flow_unlock(t->flow);
    cf_data_free(&t->train);
    cf_data_free(&t->validation);
    cf_optimizer_free(t->optimizer);
    cf_spec_free(t->schedule);
    cf_free(t->best);
    cf_free(t->best_buffers);
    cf_free(t->jitter);
    cf_free(t->order);
    cf_free(t->batch);
    cf_free(t->cotangents);
    cf_free(t->log_prob);
    cf_free(t);
}

cf_train_state cf_trainer_state(cf_trainer *t) {
    return (cf_train_state){.elements = cf_flow_parameter_table(t->flow)->elements,
                            .buffer_elements = cf_flow_buffer_table(t->flow)->elements,
                            .dtype = cf_flow_dtype(t->flow),
                            .optimizer = t->optimizer,
                            .best = t->best,
                            .best_buffers = t->best_buffers,
                            .progress = &t->progress};
}

cf_status cf_trainer_check(const cf_trainer *t, const cf_train_progress *p) {
    bool counts = p->epoch <= t->options.epochs && p->step <= p->rows_drawn &&
                  p->skipped_in_a_row <= p->skipped && p->skipped_in_a_row < MOST_SKIPPED &&
                  p->best_epoch <= p->epoch && p->waited <= p->epoch && p->has_best <= 1 &&
                  p->plateau.waited <= p->epoch;
    bool losses = !isnan(p->best_loss) && !isnan(p->plateau.best) && p->plateau.factor >= 0.0 &&
                  p->plateau.factor <= 1.0;
    if (!counts || !losses)
        return cf_fail(CF_INVALID, "the progress is not one that this training could have made");
    return CF_OK;
}

void cf_trainer_restore_best(cf_trainer *t) {
    if (t->validation.rows > 0 && t->progress.has_best)
        put_best(t);
}

/* The array's rows from `first` on, in the order of `index`. */
static cf_array rows_of(cf_array array, const int64_t *index) {
    array.index = index;
    return array;
}

/* The order of an epoch depends on the seed and the epoch's number alone. Rows of weight 0, which
 * may lie where the flow has neither density nor gradient, are left out. */
static void shuffle(cf_trainer *t) {
    for (size_t i = 0, n = 0; n < t->rows; i++)
        if (cf_data_weight(&t->train, i) > 0.0)
            t->order[n++] = (int64_t)i;
    cf_philox_shuffle(t->order, (int64_t)t->rows, t->options.seed, CF_STREAM_SHUFFLE,
                      (uint32_t)t->progress.epoch);
}

/* Which rows the batch that begins at `first` has, and the cotangents of their log_prob. */
static void fill_batch(cf_trainer *t, size_t first, size_t rows) {
    const int64_t *index = t->train.x.index;
    double share = 1.0 / ((double)rows * t->mean_weight);
    for (size_t i = 0; i < rows; i++) {
        int64_t position = t->order[first + i];
        double w = cf_data_weight(&t->train, (size_t)position);
        t->batch[i] = index != NULL ? index[position] : position;
        t->cotangents[i] = -w * share;
    }
}

/* The loss of the batch that begins at `first`, with its gradient: sum of w l / (B mean w). */
static cf_status batch_loss(cf_trainer *t, size_t first, size_t rows, double *loss) {
    fill_batch(t, first, rows);
    cf_flow_call call = {.rows = rows,
                         .threads = t->options.threads,
                         .x = rows_of(t->train.x, t->batch),
                         .context = rows_of(t->train.context, t->batch),
                         .dlog_det = cf_double_rows(t->cotangents, 1),
                         .log_det = {t->log_prob, 1},
                         .seed = t->options.seed,
                         .first_row = t->progress.rows_drawn,
                         .jitter = t->jitter,
                         .mode = CF_TRAINING,
                         .want_gradients = true};
    CF_TRY(cf_flow_log_prob_vjp_held(t->flow, &call));
    *loss = 0.0;
    for (size_t i = 0; i < rows; i++)
        *loss += t->cotangents[i] * cf_number_at(t->log_prob, i, cf_flow_dtype(t->flow));
    return CF_OK;
}

static double schedule_factor(const cf_trainer *t) {
    return cf_schedule_factor(t->schedule, &t->progress.plateau, t->progress.step,
                              steps_per_epoch(t) * t->options.epochs);
}

/* Puts the best weights in place. Epochs count from 1. */
static cf_status diverged(cf_trainer *t, uint64_t epoch) {
    put_best(t);
    return cf_fail(CF_NUMERICAL,
                   "training diverged: %llu steps in a row, the last in epoch %llu, led to a loss, "
                   "a gradient or weights that are not finite; a smaller learning_rate or "
                   "clip_norm may help",
                   (unsigned long long)t->progress.skipped_in_a_row, (unsigned long long)epoch);
}

/* One step; one whose loss or gradient is not finite is skipped and counted. */
static cf_status train_batch(cf_trainer *t, size_t first, size_t rows, double *loss) {
    cf_train_progress *p = &t->progress;
    const void *gradients = cf_flow_gradients(t->flow);
    CF_TRY(batch_loss(t, first, rows, loss));
    p->rows_drawn += rows;
    double norm = cf_gradient_norm(t->optimizer, gradients);
    if (!isfinite(*loss) || !isfinite(norm)) {
        p->skipped++;
        if (++p->skipped_in_a_row < MOST_SKIPPED)
            return CF_OK;
        return diverged(t, p->epoch + 1);
    }
    p->skipped_in_a_row = 0;
    cf_gradient_step step = {.number = p->step + 1,
                             .schedule = schedule_factor(t),
                             .clip = cf_clip_factor(norm, t->options.clip_norm),
                             .gradients = gradients,
                             .parameters = cf_flow_parameters(t->flow)};
    cf_optimizer_step(t->optimizer, &step);
    p->step++;
    cf_flow_mix_statistics(t->flow);
    return CF_OK;
}

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

/* Whether the caller wants to stop, who is asked from time to time. */
static bool interrupted(watch *w) {
    if (w->poll != NULL && time_to_poll(&w->polled) && w->poll(w->context, w->report, w->rows))
        w->report->stop = CF_STOP_INTERRUPTED;
    return w->report->stop == CF_STOP_INTERRUPTED;
}

/* All batches of an epoch; sets report->train. Returns early when interrupted. */
static cf_status run_batches(cf_trainer *t, watch *w) {
    cf_epoch_report *report = w->report;
    size_t counted = 0;
    double sum = 0.0;
    for (uint64_t step = 0; step < steps_per_epoch(t) && !interrupted(w); step++) {
        size_t first = first_of(t, step), rows = first_of(t, step + 1) - first;
        double loss;
        CF_TRY(train_batch(t, first, rows, &loss));
        if (isfinite(loss)) {
            sum += loss * (double)rows;
            counted += rows;
        }
        report->train = counted > 0 ? sum / (double)counted : NAN;
        report->step = t->progress.step;
        report->skipped = t->progress.skipped;
        w->rows = first + rows;
    }
    return CF_OK;
}

/* The log_prob of the rows [first, first + rows) of `data` into t->log_prob. */
static cf_status log_prob_of(cf_trainer *t, const cf_data *data, size_t first, size_t rows) {
    cf_flow_call call = {.rows = rows,
                         .threads = t->options.threads,
                         .x = data->x,
                         .context = data->context,
                         .log_det = {t->log_prob, 1},
                         .seed = t->options.seed,
                         .first_row = (UINT64_C(1) << 63) + first,
                         .jitter = t->jitter};
    cf_array_skip(&call.x, first);
    cf_array_skip(&call.context, first);
    return cf_flow_log_prob_held(t->flow, &call);
}

/* Fails if a row with a weight lies where the flow has no density. */
static cf_status check_domain(cf_trainer *t, const cf_data *data, const char *what) {
    for (size_t first = 0; first < data->rows; first += SCORED_AT_ONCE) {
        size_t rows = data->rows - first < SCORED_AT_ONCE ? data->rows - first : SCORED_AT_ONCE;
        CF_TRY(log_prob_of(t, data, first, rows));
        for (size_t i = 0; i < rows; i++) {
            double found = cf_number_at(t->log_prob, i, cf_flow_dtype(t->flow));
            if (isfinite(found) || cf_data_weight(data, first + i) == 0.0)
                continue;
            return cf_fail(CF_INVALID,
                           "%s: row %lld has log_prob %g: it lies outside the domain of a layer or "
                           "of the base",
                           what, cf_data_row_number(data, first + i),
                           isnan(found) ? fabs(found) : found);
        }
    }
    return CF_OK;
}

/* Adds the validation rows [first, first + rows) to the sums of w l and of w. Jitter, if any, is
 * the same in every epoch. */
static cf_status score(cf_trainer *t, size_t first, size_t rows, double *sum, double *total) {
    const cf_data *data = &t->validation;
    CF_TRY(log_prob_of(t, data, first, rows));
    for (size_t i = 0; i < rows; i++) {
        double w = cf_data_weight(data, first + i);
        *sum -= w > 0.0 ? w * cf_number_at(t->log_prob, i, cf_flow_dtype(t->flow)) : 0.0;
        *total += w;
    }
    return CF_OK;
}

/* Sets report->validation, the mean negative log-likelihood of the validation data, if there are
 * any. Returns early when interrupted. */
static cf_status validate(cf_trainer *t, watch *w) {
    size_t all = t->validation.rows;
    double sum = 0.0, total = 0.0;
    for (size_t first = 0; first < all && !interrupted(w); first += SCORED_AT_ONCE) {
        size_t rows = all - first < SCORED_AT_ONCE ? all - first : SCORED_AT_ONCE;
        CF_TRY(score(t, first, rows, &sum, &total));
    }
    if (all > 0)
        w->report->validation = sum / total;
    return CF_OK;
}

static bool weights_are_finite(const cf_trainer *t) {
    return cf_all_finite(cf_flow_parameters(t->flow), cf_flow_parameter_table(t->flow)->elements,
                         cf_flow_dtype(t->flow));
}

/* Keeps the weights if they are the best so far. Without validation that is told by the training
 * loss, and of use only if a later epoch diverges. */
static void judge(cf_trainer *t, double loss) {
    cf_train_progress *p = &t->progress;
    p->waited++;
    if (!(loss < p->best_loss))
        return;
    if (t->validation.rows == 0 && (p->skipped_in_a_row > 0 || !weights_are_finite(t)))
        return;
    p->best_loss = loss;
    p->best_epoch = p->epoch;
    p->waited = 0;
    p->has_best = 1;
    keep_best(t);
}

cf_stop cf_trainer_stop(const cf_trainer *t) {
    const cf_train_progress *p = &t->progress;
    uint64_t patience = t->validation.rows > 0 ? t->options.patience : 0;
    if (p->epoch >= t->options.epochs)
        return CF_STOP_EPOCHS;
    return patience > 0 && p->waited >= patience ? CF_STOP_PATIENCE : CF_RUNNING;
}

/* At the end of the last epoch. Without validation nothing else notices that the last steps led
 * nowhere; some skipped steps, of rows that are always too far out, are no such sign. */
static cf_status check_end(cf_trainer *t) {
    const cf_train_progress *p = &t->progress;
    if (t->validation.rows > 0 && p->has_best)
        return CF_OK;
    bool sound = p->has_best && p->skipped_in_a_row < steps_per_epoch(t) && weights_are_finite(t);
    return sound ? CF_OK : diverged(t, p->epoch);
}

/* Fails, with everything as it was, if there are data that the flow cannot have. */
static cf_status check_domains(cf_trainer *t) {
    bool limited =
        cf_layer_is_limited(cf_flow_chain(t->flow)) || cf_base_is_limited(cf_flow_base(t->flow));
    if (!limited)
        return CF_OK;
    cf_status status = check_domain(t, &t->train, "training data");
    if (status == CF_OK)
        status = check_domain(t, &t->validation, "validation data");
    if (status != CF_OK)
        put_best(t);
    return status;
}

/* Parameters that start at statistics of the first rows of the epoch. */
static cf_status start_parameters(cf_trainer *t) {
    const int64_t *index = t->train.x.index;
    size_t most = cf_flow_shape(t->flow).image ? STARTED_FROM_IMAGES : STARTED_FROM;
    size_t rows = t->rows < most ? t->rows : most;
    int64_t *first;
    CF_TRY(cf_alloc(&first, rows, sizeof *first));
    for (size_t i = 0; i < rows; i++)
        first[i] = index != NULL ? index[t->order[i]] : t->order[i];
    cf_flow_call call = {.rows = rows,
                         .threads = t->options.threads,
                         .x = rows_of(t->train.x, first),
                         .context = rows_of(t->train.context, first),
                         .seed = t->options.seed,
                         .jitter = t->jitter};
    cf_status status = cf_flow_start_held(t->flow, &call);
    cf_free(first);
    return status;
}

/* Sets what the data decide before the first step. */
static cf_status start(cf_trainer *t) {
    CF_TRY(cf_data_standardize(t->flow, &t->train, t->jitter));
    CF_TRY(check_domains(t));
    return start_parameters(t);
}

cf_status cf_trainer_epoch(cf_trainer *t, cf_poll poll, void *context, cf_epoch_report *report) {
    cf_train_progress *p = &t->progress;
    watch w = {.report = report, .poll = poll, .context = context};
    timespec_get(&w.polled, TIME_UTC);
    *report =
        (cf_epoch_report){.epoch = p->epoch + 1,
                          .step = p->step,
                          .steps_per_epoch = steps_per_epoch(t),
                          .skipped = p->skipped,
                          .train = NAN,
                          .validation = NAN,
                          .learning_rate = cf_optimizer_rate(t->optimizer) * schedule_factor(t)};
    cf_flow_set_changing(t->flow, true);
    shuffle(t);
    cf_status status = p->rows_drawn == 0 ? start(t) : CF_OK;
    if (status == CF_OK)
        status = run_batches(t, &w);
    cf_flow_set_changing(t->flow, false);
    CF_TRY(status);
    CF_TRY(validate(t, &w));
    if (report->stop == CF_STOP_INTERRUPTED)
        return CF_OK;
    double loss = t->validation.rows > 0 ? report->validation : report->train;
    p->epoch++;
    judge(t, loss);
    cf_schedule_observe(t->schedule, &p->plateau, loss);
    report->best = t->validation.rows > 0 && p->best_epoch == p->epoch;
    report->stop = cf_trainer_stop(t);
    return report->stop == CF_RUNNING ? CF_OK : check_end(t);
}
