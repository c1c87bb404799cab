#include "train/trainer.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/philox.h"

enum {
    MOST_SKIPPED = 20,
    SCORED_AT_ONCE = 16384, /* rows of the validation data */
    POLL_MILLISECONDS = 100,
};

struct cf_trainer {
    cf_flow *flow;
    bool holds_flow;
    cf_data train, validation; /* validation.rows 0: none */
    cf_train_options options;
    cf_optimizer_state optimizer;
    cf_train_progress progress;
    void *best; /* until there is one, the weights at the start */
    double *jitter;
    double mean_weight;
    int64_t *order;     /* of the present epoch: rows of the arrays */
    int64_t *positions; /* the same as positions in the training data, for the weights */
    double *cotangents; /* of one batch */
    void *log_prob;     /* of one batch, or one piece of the validation data */
};

static size_t slab_bytes(const cf_trainer *t) {
    return cf_flow_parameter_table(t->flow)->elements * cf_dtype_size(cf_flow_dtype(t->flow));
}

static cf_status check_options(const cf_train_options *o, const cf_data *train) {
    CF_TRY(cf_optimizer_check(&o->optimizer));
    CF_TRY(cf_schedule_check(&o->schedule));
    if (o->batch_size < 1 || o->batch_size > train->rows)
        return cf_fail(CF_INVALID,
                       "batch_size must be from 1 to the %zu rows of the training data, got %llu",
                       train->rows, (unsigned long long)o->batch_size);
    if (!(o->clip_norm >= 0.0))
        return cf_fail(CF_INVALID, "clip_norm must be positive, got %g", o->clip_norm);
    return CF_OK;
}

static cf_status check_jitter(const cf_train_options *o, size_t features) {
    for (size_t f = 0; o->jitter != NULL && f < features; f++)
        if (!(o->jitter[f] >= 0.0 && isfinite(o->jitter[f])))
            return cf_fail(CF_INVALID, "jitter must be 0 or more, got %g for column %zu",
                           o->jitter[f], f);
    return CF_OK;
}

static cf_status check(const cf_flow *flow, const cf_data *train, const cf_data *validation,
                       const cf_train_options *options) {
    size_t features = cf_flow_features(flow), context = cf_flow_context(flow);
    CF_TRY(cf_data_check(train, features, context, "training data"));
    if (validation != NULL)
        CF_TRY(cf_data_check(validation, features, context, "validation data"));
    CF_TRY(check_options(options, train));
    return check_jitter(options, features);
}

static cf_status allocate(cf_trainer *t) {
    cf_dtype dtype = cf_flow_dtype(t->flow);
    size_t batch = (size_t)t->options.batch_size, features = cf_flow_features(t->flow);
    size_t scored = batch > SCORED_AT_ONCE ? batch : SCORED_AT_ONCE;
    CF_TRY(cf_optimizer_state_new(&t->optimizer, cf_flow_parameter_table(t->flow), dtype));
    CF_TRY(cf_alloc(&t->best, slab_bytes(t), 1));
    CF_TRY(cf_alloc(&t->order, t->train.rows, sizeof *t->order));
    CF_TRY(cf_alloc(&t->positions, t->train.rows, sizeof *t->positions));
    CF_TRY(cf_alloc(&t->cotangents, batch, sizeof *t->cotangents));
    CF_TRY(cf_alloc(&t->log_prob, scored, cf_dtype_size(dtype)));
    if (t->options.jitter != NULL) {
        CF_TRY(cf_alloc(&t->jitter, features, sizeof *t->jitter));
        memcpy(t->jitter, t->options.jitter, features * sizeof *t->jitter);
    }
    return CF_OK;
}

static cf_status begin(cf_trainer *t) {
    bool standardized;
    CF_TRY(cf_flow_lock(t->flow));
    t->holds_flow = true;
    CF_TRY(allocate(t));
    t->mean_weight = cf_data_mean_weight(&t->train);
    t->progress.best_loss = t->progress.plateau.best = INFINITY;
    t->progress.plateau.factor = 1.0;
    memcpy(t->best, cf_flow_parameters(t->flow), slab_bytes(t));
    return cf_data_standardize(t->flow, &t->train, &standardized);
}

cf_status cf_trainer_new(cf_trainer **out, cf_flow *flow, const cf_data *train,
                         const cf_data *validation, const cf_train_options *options) {
    cf_trainer *t;
    *out = NULL;
    CF_TRY(check(flow, train, validation, options));
    CF_TRY(cf_alloc(&t, 1, sizeof *t));
    t->flow = flow;
    t->train = *train;
    t->options = *options;
    if (validation != NULL)
        t->validation = *validation;
    cf_status status = begin(t);
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
    cf_optimizer_state_free(&t->optimizer);
    cf_free(t->best);
    cf_free(t->jitter);
    cf_free(t->order);
    cf_free(t->positions);
    cf_free(t->cotangents);
    cf_free(t->log_prob);
    cf_free(t);
}

cf_train_state cf_trainer_state(cf_trainer *t) {
    return (cf_train_state){.elements = t->optimizer.elements,
                            .dtype = t->optimizer.dtype,
                            .first_moment = t->optimizer.first_moment,
                            .second_moment = t->optimizer.second_moment,
                            .best = t->best,
                            .progress = &t->progress};
}

void cf_trainer_restore_best(cf_trainer *t) {
    if (t->progress.has_best)
        memcpy(cf_flow_parameters(t->flow), t->best, slab_bytes(t));
}

static double log_prob_at(const cf_trainer *t, size_t i) {
    return t->optimizer.dtype == CF_FLOAT32 ? ((float *)t->log_prob)[i]
                                            : ((double *)t->log_prob)[i];
}

/* The array's rows from `first` on, in the order of `index`. */
static cf_array rows_of(cf_array array, const int64_t *index) {
    array.index = index;
    return array;
}

/* The order of an epoch depends on the seed and the epoch's number alone. */
static void shuffle(cf_trainer *t) {
    for (size_t i = 0; i < t->train.rows; i++)
        t->positions[i] = (int64_t)i;
    cf_philox_shuffle(t->positions, (int64_t)t->train.rows, t->options.seed, CF_STREAM_SHUFFLE,
                      (uint32_t)t->progress.epoch);
    const int64_t *index = t->train.x.index;
    for (size_t i = 0; i < t->train.rows; i++)
        t->order[i] = index != NULL ? index[t->positions[i]] : t->positions[i];
}

/* The loss of the batch that begins at `first`, with its gradient: sum of w l / (B mean w). */
static cf_status batch_loss(cf_trainer *t, size_t first, size_t rows, double *loss) {
    double share = 1.0 / ((double)rows * t->mean_weight);
    for (size_t i = 0; i < rows; i++) {
        double w = t->train.weights != NULL ? t->train.weights[t->positions[first + i]] : 1.0;
        t->cotangents[i] = -w * share;
    }
    cf_flow_call call = {.rows = rows,
                         .threads = t->options.threads,
                         .x = rows_of(t->train.x, t->order + first),
                         .context = rows_of(t->train.context, t->order + first),
                         .dlog_det = {.data = t->cotangents,
                                      .element = CF_DOUBLE,
                                      .row_stride = sizeof(double),
                                      .feature_stride = sizeof(double)},
                         .log_det = {t->log_prob, 1},
                         .seed = t->options.seed,
                         .first_row = t->progress.rows_drawn,
                         .jitter = t->jitter,
                         .want_gradients = true};
    CF_TRY(cf_flow_log_prob_vjp_held(t->flow, &call));
    *loss = 0.0;
    for (size_t i = 0; i < rows; i++)
        if (t->cotangents[i] != 0.0)
            *loss += t->cotangents[i] * log_prob_at(t, i);
    return CF_OK;
}

static double learning_rate(const cf_trainer *t) {
    uint64_t per_epoch = (t->train.rows + t->options.batch_size - 1) / t->options.batch_size;
    return t->options.optimizer.learning_rate *
           cf_schedule_factor(&t->options.schedule, &t->progress.plateau, t->progress.step,
                              per_epoch * t->options.epochs);
}

/* One step; one whose loss or gradient is not finite is skipped and counted. */
static cf_status train_batch(cf_trainer *t, size_t first, size_t rows, double *loss) {
    cf_train_progress *p = &t->progress;
    const void *gradients = cf_flow_gradients(t->flow);
    CF_TRY(batch_loss(t, first, rows, loss));
    p->rows_drawn += rows;
    double norm = cf_gradient_norm(&t->optimizer, gradients, t->options.threads);
    if (!isfinite(*loss) || !isfinite(norm)) {
        p->skipped++;
        if (++p->skipped_in_a_row < MOST_SKIPPED)
            return CF_OK;
        memcpy(cf_flow_parameters(t->flow), t->best, slab_bytes(t));
        return cf_fail(
            CF_NUMERICAL,
            "training diverged: the loss or its gradient was not finite in %d steps in a row, "
            "the last in epoch %llu; a smaller learning_rate or clip_norm may help",
            MOST_SKIPPED, (unsigned long long)p->epoch + 1);
    }
    p->skipped_in_a_row = 0;
    double clip = t->options.clip_norm;
    double factor = clip > 0.0 && norm > clip ? clip / norm : 1.0;
    double rate = learning_rate(t);
    p->step++;
    cf_optimizer_step(&t->options.optimizer, &t->optimizer, p->step, rate, factor, gradients,
                      cf_flow_parameters(t->flow), t->options.threads);
    return CF_OK;
}

/* The mean negative log-likelihood of the validation data. Jitter, if any, is the same in every
 * epoch. */
static cf_status validation_loss(cf_trainer *t, double *loss) {
    const cf_data *data = &t->validation;
    double sum = 0.0, total = 0.0;
    for (size_t first = 0; first < data->rows; first += SCORED_AT_ONCE) {
        size_t rows = data->rows - first < SCORED_AT_ONCE ? data->rows - first : SCORED_AT_ONCE;
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
        CF_TRY(cf_flow_log_prob_held(t->flow, &call));
        for (size_t i = 0; i < rows; i++) {
            double w = data->weights != NULL ? data->weights[first + i] : 1.0;
            sum -= w > 0.0 ? w * log_prob_at(t, i) : 0.0;
            total += w;
        }
    }
    *loss = sum / total;
    return CF_OK;
}

/* Keeps the weights if they are the best so far. */
static void judge(cf_trainer *t, cf_epoch_report *report) {
    cf_train_progress *p = &t->progress;
    report->best = report->validation < p->best_loss;
    if (!report->best) {
        p->waited++;
        return;
    }
    p->best_loss = report->validation;
    p->best_epoch = p->epoch;
    p->waited = 0;
    p->has_best = 1;
    memcpy(t->best, cf_flow_parameters(t->flow), slab_bytes(t));
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

/* All batches of an epoch; sets report->train and, if poll asks to stop, report->stop. */
static cf_status run_batches(cf_trainer *t, cf_poll poll, void *context, cf_epoch_report *report) {
    struct timespec last;
    size_t batch = (size_t)t->options.batch_size, counted = 0;
    double sum = 0.0;
    timespec_get(&last, TIME_UTC);
    for (size_t first = 0; first < t->train.rows; first += batch) {
        size_t rows = t->train.rows - first < batch ? t->train.rows - first : batch;
        double loss;
        CF_TRY(train_batch(t, first, rows, &loss));
        if (isfinite(loss)) {
            sum += loss * (double)rows;
            counted += rows;
        }
        report->train = counted > 0 ? sum / (double)counted : NAN;
        report->step = t->progress.step;
        report->skipped = t->progress.skipped;
        if (poll != NULL && time_to_poll(&last) && poll(context, report, first + rows)) {
            report->stop = CF_STOP_INTERRUPTED;
            return CF_OK;
        }
    }
    return CF_OK;
}

cf_status cf_trainer_epoch(cf_trainer *t, cf_poll poll, void *context, cf_epoch_report *report) {
    cf_train_progress *p = &t->progress;
    *report = (cf_epoch_report){.epoch = p->epoch + 1, .train = NAN, .validation = NAN};
    report->steps_per_epoch = (t->train.rows + t->options.batch_size - 1) / t->options.batch_size;
    report->learning_rate = learning_rate(t);
    shuffle(t);
    CF_TRY(run_batches(t, poll, context, report));
    if (report->stop != CF_RUNNING)
        return CF_OK;
    p->epoch++;
    if (t->validation.rows > 0) {
        CF_TRY(validation_loss(t, &report->validation));
        judge(t, report);
    }
    cf_schedule_observe(&t->options.schedule, &p->plateau,
                        t->validation.rows > 0 ? report->validation : report->train);
    if (p->epoch >= t->options.epochs)
        report->stop = CF_STOP_EPOCHS;
    else if (t->options.patience > 0 && t->validation.rows > 0 && p->waited >= t->options.patience)
        report->stop = CF_STOP_PATIENCE;
    return CF_OK;
}
