#include "train/draws.h"

#include <math.h>

#include "base/memory.h"
#include "base/philox.h"
#include "train/initialise.h"
#include "train/losses/losses.h"

struct cf_draws {
    cf_flow *flow;
    cf_draws_options options;
    cf_target target;
    void *given;
    bool standardized; /* the contexts have been, if there are any */
    struct {
        cf_array x;
        size_t rows;
        const double *weights; /* NULL: no rows are given */
    } rows;
    cf_draws_report report;
    int64_t *chosen; /* by sample: its context's row */
    void *x;         /* of this dtype */
    cf_dtype dtype;
    void *log_prob;      /* of the flow's dtype */
    double *log_density; /* the target's; then the logarithms of the weights */
    double *gradient;    /* the target's; then the cotangents of the samples */
    double *share;       /* by sample: its part in the loss */
    double *score;       /* of the samples; NULL without path gradients */
    double *cotangent;   /* of log_prob of rows: at least `room` of them */
    void *losses;        /* as many */
    size_t room;
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
    if (d->options.path_gradient)
        CF_TRY(cf_alloc(&d->score, numbers, sizeof *d->score));
    return cf_alloc(&d->share, batch, sizeof *d->share);
}

cf_status cf_draws_new(cf_draws **out, cf_flow *flow, const cf_draws_options *options) {
    cf_draws *d;
    *out = NULL;
    CF_TRY(check(flow, options));
    CF_TRY(cf_alloc(&d, 1, sizeof *d));
    d->flow = flow;
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
    cf_free(d->share);
    cf_free(d->score);
    cf_free(d->cotangent);
    cf_free(d->losses);
    cf_free(d);
}

cf_dtype cf_draws_dtype(const cf_draws *d) {
    return d->dtype;
}

void cf_draws_set_target(cf_draws *d, cf_target target, void *given) {
    d->target = target;
    d->given = given;
}

cf_draws_report cf_draws_get_report(const cf_draws *d) {
    return d->report;
}

void cf_draws_set_rows(cf_draws *d, cf_array x, size_t rows, const double *weights) {
    d->rows.x = x;
    d->rows.rows = rows;
    d->rows.weights = weights;
}

/* ---- calls of the flow ---- */

static void choose_contexts(cf_draws *d, uint64_t drawn) {
    for (uint64_t i = 0; i < d->options.batch_size; i++)
        d->chosen[i] =
            (int64_t)cf_philox_below(d->options.seed, d->options.forward ? drawn : drawn + i,
                                     CF_STREAM_CONTEXT, 0, d->options.context_rows);
}

/* With random numbers that depend on the seed and the number of the first sample alone. */
static cf_function_call new_call(const cf_draws *d, const char *function, uint64_t first,
                                 size_t rows) {
    return (cf_function_call){.function = cf_model_function(d->flow->model, function),
                              .samples = rows,
                              .threads = d->options.threads,
                              .seed = d->options.seed,
                              .first_sample = first};
}

/* Of the samples of this step, with their contexts. */
static cf_function_call step_call(const cf_draws *d, const char *function, uint64_t drawn) {
    cf_function_call call = new_call(d, function, drawn, (size_t)d->options.batch_size);
    call.mode = d->options.path_gradient ? CF_EVALUATION : CF_TRAINING;
    cf_array context = d->options.contexts;
    context.index = d->chosen;
    if (context.data != NULL)
        cf_call_set_input(&call, "context", context);
    return call;
}

static cf_result new_x(const cf_draws *d, void *x) {
    return (cf_result){
        .data = x, .row_stride = cf_flow_features(d->flow), .as_double = d->dtype == CF_FLOAT64};
}

static cf_array rows_of_x(const cf_draws *d) {
    size_t features = cf_flow_features(d->flow), element = cf_dtype_size(d->dtype);
    return (cf_array){.data = d->x,
                      .element = d->dtype == CF_FLOAT64 ? CF_DOUBLE : CF_FLOAT,
                      .row_stride = (ptrdiff_t)(features * element),
                      .feature_stride = (ptrdiff_t)element};
}

/* One context stands for all rows. */
static cf_status set_one_context(const cf_draws *d, cf_function_call *call) {
    cf_array context = d->options.contexts;
    if (context.data == NULL)
        return CF_OK;
    if (d->options.context_rows != 1)
        return cf_fail(CF_INVALID, "context must be one row, got %zu", d->options.context_rows);
    context.row_stride = 0;
    cf_call_set_input(call, "context", context);
    return CF_OK;
}

/* Before the first sample. */
static cf_status standardize(cf_draws *d) {
    cf_data contexts = {.rows = d->options.context_rows, .context = d->options.contexts};
    if (!d->standardized)
        CF_TRY(cf_standardize_context(d->flow, &contexts));
    d->standardized = true;
    return CF_OK;
}

cf_status cf_draws_sample(cf_draws *d, uint64_t first, size_t rows, void *x, double *log_prob) {
    cf_function_call call = new_call(d, "sample", first, rows);
    CF_TRY(standardize(d));
    CF_TRY(set_one_context(d, &call));
    cf_call_set_output(&call, "x", new_x(d, x));
    cf_call_set_output(&call, "log_prob", (cf_result){log_prob, 1, .as_double = true});
    return cf_model_call_locked(d->flow->model, &call);
}

cf_status cf_draws_score(cf_draws *d, cf_array x, size_t rows, double *log_prob, double *score) {
    cf_function_call call = new_call(d, score == NULL ? "log_prob" : "score", 0, rows);
    CF_TRY(standardize(d));
    CF_TRY(set_one_context(d, &call));
    cf_call_set_input(&call, "x", x);
    cf_call_set_output(&call, "log_prob", (cf_result){log_prob, 1, .as_double = true});
    if (score != NULL)
        cf_call_set_output(
            &call, "score",
            (cf_result){score, .row_stride = cf_flow_features(d->flow), .as_double = true});
    return cf_model_call_locked(d->flow->model, &call);
}

/* ---- a step on samples of the flow ---- */

static cf_status draw(cf_draws *d, uint64_t drawn) {
    cf_function_call call = step_call(d, "sample", drawn);
    cf_call_set_output(&call, "x", new_x(d, d->x));
    cf_call_set_output(&call, "log_prob", (cf_result){d->log_prob, 1});
    return cf_model_call_locked(d->flow->model, &call);
}

/* Sets the logarithms of the weights p / q, and the report. */
static void weigh(cf_draws *d) {
    size_t rows = (size_t)d->options.batch_size;
    double sum = 0.0, largest = -INFINITY, weights = 0.0, squares = 0.0;
    for (size_t i = 0; i < rows; i++) {
        d->log_density[i] -= cf_number_at(d->log_prob, i, cf_model_dtype(d->flow->model));
        sum += d->log_density[i];
        largest = fmax(largest, d->log_density[i]);
    }
    for (size_t i = 0; i < rows; i++) {
        double w = largest == -INFINITY ? 0.0 : exp(d->log_density[i] - largest);
        d->share[i] = w;
        weights += w;
        squares += w * w;
    }
    bool none = weights == 0.0; /* the target has no density at any sample */
    d->report.elbo = sum / (double)rows;
    d->report.effective_sample_size = none ? 0.0 : weights * weights / squares;
    d->report.log_evidence = none ? -INFINITY : largest + log(weights / (double)rows);
    for (size_t i = 0; i < rows; i++)
        d->share[i] = d->options.forward ? d->share[i] / weights : 1.0 / (double)rows;
}

/* An estimate of the divergence; of the reverse one less the target's log-integral. Infinite where
 * path gradients meet the end of the target's support: they lack what the jump there adds. */
static double divergence(const cf_draws *d) {
    double sum = 0.0;
    if (!d->options.forward || (d->options.path_gradient && d->report.elbo == -INFINITY))
        return -d->report.elbo;
    for (size_t i = 0; i < (size_t)d->options.batch_size; i++)
        if (d->share[i] != 0.0)
            sum += d->share[i] * d->log_density[i];
    return sum - d->report.log_evidence;
}

static cf_status score_samples(cf_draws *d, uint64_t drawn) {
    cf_function_call call = step_call(d, "score", drawn);
    cf_call_set_input(&call, "x", rows_of_x(d));
    cf_call_set_output(
        &call, "score",
        (cf_result){d->score, .row_stride = cf_flow_features(d->flow), .as_double = true});
    return cf_model_call_locked(d->flow->model, &call);
}

/* The gradient of the parameters through the samples. Samples without a part in the loss may be
 * where the target has no gradient. */
static cf_status follow_samples(cf_draws *d, uint64_t drawn) {
    size_t rows = (size_t)d->options.batch_size, features = cf_flow_features(d->flow);
    bool path = d->options.path_gradient;
    if (path) {
        cf_model_reset_statistics(d->flow->model);
        CF_TRY(score_samples(d, drawn));
    }
    for (size_t i = 0; i < rows * features; i++) {
        double share = d->share[i / features], score = path ? d->score[i] : 0.0;
        d->gradient[i] = share == 0.0 ? 0.0 : share * (score - d->gradient[i]);
    }
    cf_function_call call = step_call(d, "sample", drawn);
    cf_call_set_cotangent(&call, "x", cf_double_rows(d->gradient, features));
    if (!path)
        cf_call_set_cotangent(&call, "log_prob", cf_double_rows(d->share, 1));
    call.want_parameter_gradients = true;
    return cf_model_call_locked(d->flow->model, &call);
}

/* ---- a step on weighted rows ---- */

static cf_status make_room(cf_draws *d, size_t rows) {
    if (rows <= d->room)
        return CF_OK;
    d->room = 0;
    cf_free(d->cotangent);
    cf_free(d->losses);
    d->cotangent = NULL;
    d->losses = NULL;
    CF_TRY(cf_alloc(&d->cotangent, rows, sizeof *d->cotangent));
    CF_TRY(cf_alloc(&d->losses, rows, cf_dtype_size(cf_model_dtype(d->flow->model))));
    d->room = rows;
    return CF_OK;
}

/* The gradient of the cross-entropy -sum(w log q(x)); sets its value. */
static cf_status follow_rows(cf_draws *d, cf_function_call call, const double *weights,
                             double *loss) {
    CF_TRY(make_room(d, call.samples));
    for (size_t i = 0; i < call.samples; i++)
        d->cotangent[i] = -weights[i];
    call.mode = CF_TRAINING;
    call.want_parameter_gradients = true;
    cf_call_set_output(&call, "log_prob", (cf_result){d->losses, 1});
    cf_call_set_cotangent(&call, "log_prob", cf_double_rows(d->cotangent, 1));
    CF_TRY(cf_model_call_locked(d->flow->model, &call));
    *loss = cf_mean_loss(d->cotangent, d->losses, call.samples, cf_model_dtype(d->flow->model));
    return CF_OK;
}

static cf_status follow_given_rows(cf_draws *d, uint64_t drawn, cf_batch_result *result) {
    cf_function_call call = new_call(d, "log_prob", drawn, d->rows.rows);
    CF_TRY(set_one_context(d, &call));
    cf_call_set_input(&call, "x", d->rows.x);
    result->samples = d->rows.rows;
    return follow_rows(d, call, d->rows.weights, &result->loss);
}

static cf_status follow_drawn_rows(cf_draws *d, uint64_t drawn) {
    double cross_entropy;
    cf_function_call call = step_call(d, "log_prob", drawn);
    cf_call_set_input(&call, "x", rows_of_x(d));
    return follow_rows(d, call, d->share, &cross_entropy);
}

/* ---- the objective ---- */

static cf_status begin_epoch(void *self, uint64_t epoch, bool first) {
    (void)epoch;
    return first ? standardize(self) : CF_OK;
}

static cf_status gradient(void *self, uint64_t step, uint64_t drawn, cf_batch_result *result) {
    cf_draws *d = self;
    size_t rows = (size_t)d->options.batch_size;
    bool conditional = d->options.contexts.data != NULL;
    bool through = d->options.path_gradient || !d->options.forward;
    (void)step;
    if (d->rows.weights != NULL)
        return follow_given_rows(d, drawn, result);
    if (conditional)
        choose_contexts(d, drawn);
    CF_TRY(draw(d, drawn));
    result->stopped = !d->target(d->given, rows, d->x, conditional ? d->chosen : NULL,
                                 d->log_density, through ? d->gradient : NULL);
    if (result->stopped)
        return CF_OK;
    weigh(d);
    result->loss = divergence(d);
    result->samples = rows;
    return through ? follow_samples(d, drawn) : follow_drawn_rows(d, drawn);
}

cf_objective cf_draws_objective(cf_draws *d) {
    return (cf_objective){.model = d->flow->model,
                          .self = d,
                          .begin_epoch = begin_epoch,
                          .gradient = gradient,
                          .steps_per_epoch = d->options.steps,
                          .advice = "a smaller learning_rate or clip_norm may help, or a target "
                                    "that is finite everywhere; loss='forward_kl' and 'alpha' "
                                    "without path gradients bear points of no density"};
}
