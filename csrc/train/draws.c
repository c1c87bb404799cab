#include "train/draws.h"

#include <math.h>

#include "base/memory.h"
#include "base/philox.h"
#include "train/initialise.h"

struct cf_draws {
    cf_flow *flow;
    const cf_function *sample;
    cf_draws_options options;
    cf_target target;
    void *given;
    double effective_sample_size;
    int64_t *chosen; /* by sample: its context's row */
    void *x;         /* of this dtype */
    cf_dtype dtype;
    void *log_prob;      /* of the flow's dtype */
    double *log_density; /* the target's; then the logarithms of the weights */
    double *gradient;    /* the target's; then the cotangents of the samples */
    double *cotangent;   /* of the samples' log_prob */
};

/* ---- life ---- */

static cf_status check(const cf_flow *flow, const cf_draws_options *o) {
    CF_TRY(cf_flow_check_density(flow));
    if (o->batch_size < 1 || o->batch_size > INT32_MAX)
        return cf_fail(CF_INVALID, "batch_size must be from 1 to %d, got %llu", INT32_MAX,
                       (unsigned long long)o->batch_size);
    if (o->contexts.data != NULL && o->context_rows == 0)
        return cf_fail(CF_INVALID, "there must be a context, got no row");
    return CF_OK;
}

static cf_status allocate(cf_draws *d) {
    size_t element = cf_dtype_size(cf_model_dtype(d->flow->model));
    size_t batch = (size_t)d->options.batch_size, numbers;
    if (!cf_size_mul(batch, cf_flow_features(d->flow), &numbers))
        return cf_fail(CF_NO_MEMORY, "a batch of samples exceeds the address space");
    CF_TRY(cf_alloc(&d->chosen, batch, sizeof *d->chosen));
    CF_TRY(cf_alloc(&d->x, numbers, sizeof(double)));
    CF_TRY(cf_alloc(&d->log_prob, batch, element));
    CF_TRY(cf_alloc(&d->log_density, batch, sizeof *d->log_density));
    CF_TRY(cf_alloc(&d->gradient, numbers, sizeof *d->gradient));
    return cf_alloc(&d->cotangent, batch, sizeof *d->cotangent);
}

cf_status cf_draws_new(cf_draws **out, cf_flow *flow, const cf_draws_options *options) {
    cf_draws *d;
    *out = NULL;
    CF_TRY(check(flow, options));
    CF_TRY(cf_alloc(&d, 1, sizeof *d));
    d->flow = flow;
    d->sample = cf_model_function(flow->model, "sample");
    d->options = *options;
    d->dtype = cf_flow_exceeds_float32(flow) ? CF_FLOAT64 : cf_model_dtype(flow->model);
    cf_status status = allocate(d);
    if (status != CF_OK)
        cf_draws_free(d);
    else
        *out = d;
    return status;
}

void cf_draws_free(cf_draws *d) {
    if (d == NULL)
        return;
    cf_free(d->chosen);
    cf_free(d->x);
    cf_free(d->log_prob);
    cf_free(d->log_density);
    cf_free(d->gradient);
    cf_free(d->cotangent);
    cf_free(d);
}

cf_dtype cf_draws_dtype(const cf_draws *d) {
    return d->dtype;
}

void cf_draws_set_target(cf_draws *d, cf_target target, void *given) {
    d->target = target;
    d->given = given;
}

double cf_draws_effective_sample_size(const cf_draws *d) {
    return d->effective_sample_size;
}

/* ---- a step ---- */

static void choose_contexts(cf_draws *d, uint64_t drawn) {
    for (uint64_t i = 0; i < d->options.batch_size; i++)
        d->chosen[i] = (int64_t)cf_philox_below(d->options.seed, drawn + i, CF_STREAM_CONTEXT, 0,
                                                d->options.context_rows);
}

/* The samples of this step, whose numbers depend on the seed and the step alone. */
static cf_function_call new_call(const cf_draws *d, uint64_t drawn) {
    cf_function_call call = {.function = d->sample,
                             .samples = (size_t)d->options.batch_size,
                             .threads = d->options.threads,
                             .seed = d->options.seed,
                             .first_sample = drawn,
                             .mode = CF_TRAINING};
    cf_array context = d->options.contexts;
    context.index = d->chosen;
    if (context.data != NULL)
        cf_call_set_input(&call, "context", context);
    return call;
}

static cf_status draw(cf_draws *d, uint64_t drawn) {
    cf_function_call call = new_call(d, drawn);
    cf_call_set_output(&call, "x",
                       (cf_result){.data = d->x,
                                   .row_stride = cf_flow_features(d->flow),
                                   .as_double = d->dtype == CF_FLOAT64});
    cf_call_set_output(&call, "log_prob", (cf_result){d->log_prob, 1});
    return cf_model_call_locked(d->flow->model, &call);
}

/* Cotangents of the loss, and the logarithms of the weights p / q. */
static void fill_cotangents(cf_draws *d) {
    size_t rows = (size_t)d->options.batch_size, features = cf_flow_features(d->flow);
    double share = 1.0 / (double)rows;
    for (size_t i = 0; i < rows; i++) {
        d->log_density[i] -= cf_number_at(d->log_prob, i, cf_model_dtype(d->flow->model));
        d->cotangent[i] = share;
    }
    for (size_t i = 0; i < rows * features; i++)
        d->gradient[i] *= -share;
}

/* Returns the mean of the logarithms, and sets the effective sample size. */
static double weigh(cf_draws *d) {
    size_t rows = (size_t)d->options.batch_size;
    double sum = 0.0, largest = -INFINITY, weights = 0.0, squares = 0.0;
    for (size_t i = 0; i < rows; i++) {
        sum += d->log_density[i];
        largest = fmax(largest, d->log_density[i]);
    }
    for (size_t i = 0; i < rows; i++) {
        double w = exp(d->log_density[i] - largest);
        weights += w;
        squares += w * w;
    }
    d->effective_sample_size = weights * weights / squares;
    return sum / (double)rows;
}

static cf_status differentiate(cf_draws *d, uint64_t drawn) {
    cf_function_call call = new_call(d, drawn);
    cf_call_set_cotangent(&call, "x", cf_double_rows(d->gradient, cf_flow_features(d->flow)));
    cf_call_set_cotangent(&call, "log_prob", cf_double_rows(d->cotangent, 1));
    call.want_parameter_gradients = true;
    return cf_model_call_locked(d->flow->model, &call);
}

static cf_status begin_epoch(void *self, uint64_t epoch, bool first) {
    cf_draws *d = self;
    cf_data contexts = {.rows = d->options.context_rows, .context = d->options.contexts};
    (void)epoch;
    return first ? cf_standardize_context(d->flow, &contexts) : CF_OK;
}

static cf_status gradient(void *self, uint64_t step, uint64_t drawn, cf_batch_result *result) {
    cf_draws *d = self;
    size_t rows = (size_t)d->options.batch_size;
    bool conditional = d->options.contexts.data != NULL;
    (void)step;
    if (conditional)
        choose_contexts(d, drawn);
    CF_TRY(draw(d, drawn));
    result->stopped = !d->target(d->given, rows, d->x, conditional ? d->chosen : NULL,
                                 d->log_density, d->gradient);
    if (result->stopped)
        return CF_OK;
    fill_cotangents(d);
    result->loss = -weigh(d);
    result->samples = rows;
    return differentiate(d, drawn);
}

cf_objective cf_draws_objective(cf_draws *d) {
    return (cf_objective){.model = d->flow->model,
                          .self = d,
                          .begin_epoch = begin_epoch,
                          .gradient = gradient,
                          .steps_per_epoch = d->options.steps,
                          .advice = "a smaller learning_rate or clip_norm may help, or a target "
                                    "that is finite everywhere"};
}
