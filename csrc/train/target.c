#include "train/target.h"

#include <math.h>

#include "base/memory.h"
#include "base/philox.h"

enum { MOST_SKIPPED = 20 };

struct cf_target_trainer {
    cf_flow *flow;
    bool holds_flow;
    cf_target_options options;
    cf_array contexts;
    size_t context_rows;
    cf_optimizer *optimizer;
    cf_spec *schedule;
    cf_plateau plateau; /* of a schedule that knows epochs: never moved */
    uint64_t attempts, steps, skipped_in_a_row;
    int64_t *chosen;     /* by sample: its context's row */
    void *x, *log_prob;  /* of the flow's dtype */
    double *log_density; /* the target's; then the logarithms of the weights */
    double *gradient;    /* the target's; then the cotangents of the samples */
    double *cotangent;   /* of the samples' log_prob */
};

static cf_status check(const cf_flow *flow, cf_array contexts, size_t context_rows,
                       const cf_target_options *o) {
    CF_TRY(cf_optimizer_check(o->optimizer, cf_flow_dtype(flow)));
    CF_TRY(cf_schedule_check(o->schedule));
    CF_TRY(cf_flow_check_density(flow));
    if (cf_schedule_observes(o->schedule))
        return cf_fail(CF_INVALID, "a plateau schedule needs epochs, which a target does not have");
    if (o->batch_size < 1 || o->batch_size > INT32_MAX)
        return cf_fail(CF_INVALID, "batch_size must be from 1 to %d, got %llu", INT32_MAX,
                       (unsigned long long)o->batch_size);
    if (!(o->clip_norm >= 0.0))
        return cf_fail(CF_INVALID, "clip_norm must be 0 or more, got %g", o->clip_norm);
    if (contexts.data != NULL && context_rows == 0)
        return cf_fail(CF_INVALID, "there must be a context, got no row");
    return CF_OK;
}

static cf_status allocate(cf_target_trainer *t) {
    cf_dtype dtype = cf_flow_dtype(t->flow);
    size_t batch = (size_t)t->options.batch_size, numbers;
    if (!cf_size_mul(batch, cf_flow_features(t->flow), &numbers))
        return cf_fail(CF_NO_MEMORY, "a batch of samples exceeds the address space");
    CF_TRY(cf_optimizer_new(&t->optimizer, t->options.optimizer, cf_flow_parameter_table(t->flow),
                            dtype, t->options.threads));
    CF_TRY(cf_alloc(&t->chosen, batch, sizeof *t->chosen));
    CF_TRY(cf_alloc(&t->x, numbers, cf_dtype_size(dtype)));
    CF_TRY(cf_alloc(&t->log_prob, batch, cf_dtype_size(dtype)));
    CF_TRY(cf_alloc(&t->log_density, batch, sizeof *t->log_density));
    CF_TRY(cf_alloc(&t->gradient, numbers, sizeof *t->gradient));
    return cf_alloc(&t->cotangent, batch, sizeof *t->cotangent);
}

static cf_status begin(cf_target_trainer *t) {
    CF_TRY(cf_flow_lock(t->flow));
    t->holds_flow = true;
    t->plateau = cf_plateau_start();
    return allocate(t);
}

cf_status cf_target_trainer_new(cf_target_trainer **out, cf_flow *flow, cf_array contexts,
                                size_t context_rows, const cf_target_options *options) {
    cf_target_trainer *t;
    *out = NULL;
    CF_TRY(check(flow, contexts, context_rows, options));
    CF_TRY(cf_alloc(&t, 1, sizeof *t));
    t->flow = flow;
    t->options = *options;
    t->schedule = cf_spec_retain(options->schedule);
    t->contexts = contexts;
    t->context_rows = context_rows;
    cf_status status = begin(t);
    if (status != CF_OK)
        cf_target_trainer_free(t);
    else
        *out = t;
    return status;
}

void cf_target_trainer_free(cf_target_trainer *t) {
    if (t == NULL)
        return;
    if (t->holds_flow)
        cf_flow_unlock(t->flow);
    cf_optimizer_free(t->optimizer);
    cf_spec_free(t->schedule);
    cf_free(t->chosen);
    cf_free(t->x);
    cf_free(t->log_prob);
    cf_free(t->log_density);
    cf_free(t->gradient);
    cf_free(t->cotangent);
    cf_free(t);
}

static void choose_contexts(cf_target_trainer *t) {
    uint64_t first = t->attempts * t->options.batch_size;
    for (uint64_t i = 0; i < t->options.batch_size; i++)
        t->chosen[i] = (int64_t)cf_philox_below(t->options.seed, first + i, CF_STREAM_CONTEXT, 0,
                                                t->context_rows);
}

/* The samples of this step, whose numbers depend on the seed and the step alone. */
static cf_flow_call new_call(const cf_target_trainer *t) {
    cf_flow_call call = {.rows = (size_t)t->options.batch_size,
                         .threads = t->options.threads,
                         .context = t->contexts,
                         .seed = t->options.seed,
                         .first_row = t->attempts * t->options.batch_size,
                         .mode = CF_TRAINING};
    if (call.context.data != NULL)
        call.context.index = t->chosen;
    return call;
}

static cf_status draw(cf_target_trainer *t) {
    cf_flow_call call = new_call(t);
    call.value = (cf_result){t->x, cf_flow_features(t->flow)};
    call.log_det = (cf_result){t->log_prob, 1};
    return cf_flow_sample_held(t->flow, &call);
}

/* Sets the report from the logarithms of the weights p / q. */
static void judge(const cf_target_trainer *t, cf_target_report *report) {
    size_t rows = (size_t)t->options.batch_size;
    double sum = 0.0, largest = -INFINITY, weights = 0.0, squares = 0.0;
    for (size_t i = 0; i < rows; i++) {
        sum += t->log_density[i];
        largest = fmax(largest, t->log_density[i]);
    }
    for (size_t i = 0; i < rows; i++) {
        double w = exp(t->log_density[i] - largest);
        weights += w;
        squares += w * w;
    }
    report->elbo = sum / (double)rows;
    report->effective_sample_size = weights * weights / squares;
}

/* Cotangents of the loss, the mean of log q(x) - log p(x). */
static void fill_cotangents(cf_target_trainer *t) {
    size_t rows = (size_t)t->options.batch_size, features = cf_flow_features(t->flow);
    double share = 1.0 / (double)rows;
    for (size_t i = 0; i < rows; i++) {
        t->log_density[i] -= cf_number_at(t->log_prob, i, cf_flow_dtype(t->flow));
        t->cotangent[i] = share;
    }
    for (size_t i = 0; i < rows * features; i++)
        t->gradient[i] *= -share;
}

static cf_status differentiate(cf_target_trainer *t) {
    cf_flow_call call = new_call(t);
    call.dvalue = cf_double_rows(t->gradient, cf_flow_features(t->flow));
    call.dlog_det = cf_double_rows(t->cotangent, 1);
    call.want_gradients = true;
    return cf_flow_sample_vjp_held(t->flow, &call);
}

static cf_status skip(cf_target_trainer *t, cf_target_report *report) {
    report->skipped = true;
    if (++t->skipped_in_a_row < MOST_SKIPPED)
        return CF_OK;
    return cf_fail(CF_NUMERICAL,
                   "%d steps in a row led to a log-density or a gradient that is not finite; a "
                   "smaller learning_rate or clip_norm may help, or a target that is finite "
                   "everywhere",
                   MOST_SKIPPED);
}

static cf_status update(cf_target_trainer *t, cf_target_report *report) {
    const void *gradients = cf_flow_gradients(t->flow);
    double norm = cf_gradient_norm(t->optimizer, gradients);
    if (!isfinite(report->elbo) || !isfinite(norm))
        return skip(t, report);
    t->skipped_in_a_row = 0;
    cf_gradient_step step = {
        .number = t->steps + 1,
        .schedule = cf_schedule_factor(t->schedule, &t->plateau, t->steps, t->options.steps),
        .clip = cf_clip_factor(norm, t->options.clip_norm),
        .gradients = gradients,
        .parameters = cf_flow_parameters(t->flow)};
    cf_optimizer_step(t->optimizer, &step);
    t->steps++;
    return CF_OK;
}

cf_status cf_target_trainer_step(cf_target_trainer *t, cf_target target, void *given,
                                 cf_target_report *report, bool *stopped) {
    size_t rows = (size_t)t->options.batch_size;
    bool conditional = t->contexts.data != NULL;
    *report = (cf_target_report){0};
    *stopped = false;
    if (conditional)
        choose_contexts(t);
    CF_TRY(draw(t));
    *stopped =
        !target(given, rows, t->x, conditional ? t->chosen : NULL, t->log_density, t->gradient);
    if (*stopped)
        return CF_OK;
    fill_cotangents(t);
    judge(t, report);
    CF_TRY(differentiate(t));
    t->attempts++;
    cf_flow_set_changing(t->flow, true);
    cf_status status = update(t, report);
    cf_flow_set_changing(t->flow, false);
    return status;
}
