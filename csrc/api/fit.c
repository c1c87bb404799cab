/* Fits by maximum likelihood: the rows and the loop that learns from them, as one handle. */
#include "api/matrix.h"
#include "base/memory.h"
#include "base/pool.h"
#include "train/losses/losses.h"
#include "train/rows.h"

struct cf_fit {
    cf_rows *rows;
    cf_training *loop;
    bool over, failed; /* no further epoch may run; the weights are final */
};

/* ---- what is given ---- */

enum { DEFAULT_BATCH_SIZE = 256 };

static cf_status read_rows(const cf_fit_rows *given, const cf_flow *flow, const char *what,
                           cf_data *out) {
    *out = (cf_data){.rows = given->x.rows, .weights = given->weights};
    CF_TRY(cf_matrix_read(given->x, what, "x", cf_flow_features(flow), &out->x));
    return cf_context_read(given->context, what, cf_flow_context_features(flow), given->x.rows,
                           &out->context);
}

static cf_status new_rows(cf_fit *fit, cf_flow *flow, const cf_fit_options *o) {
    cf_data train, validation;
    bool validated = o->validation.x.data != NULL;
    uint64_t fitting = o->train.x.rows < DEFAULT_BATCH_SIZE ? o->train.x.rows : DEFAULT_BATCH_SIZE;
    cf_rows_options options = {.flow = flow,
                               .train = &train,
                               .validation = validated ? &validation : NULL,
                               .batch_size = o->batch_size > 0 ? o->batch_size : fitting,
                               .seed = o->seed,
                               .threads = cf_num_threads()};
    CF_TRY(read_rows(&o->train, flow, "training data", &train));
    if (validated)
        CF_TRY(read_rows(&o->validation, flow, "validation data", &validation));
    if (o->patience > 0 && !validated)
        return cf_fail(CF_INVALID, "patience needs validation rows, got none");
    CF_TRY(cf_find_loss(flow->model, flow, "likelihood", &options.loss));
    return cf_rows_new(&fit->rows, flow->model, &options);
}

/* *out = the spec that is given, or one of `type`; the caller releases it. */
static cf_status spec_or_default(cf_spec *given, const char *type, cf_spec **out) {
    if (given != NULL) {
        *out = cf_spec_retain(given);
        return CF_OK;
    }
    CF_TRY(cf_spec_new_named(out, type));
    return cf_spec_finish(*out);
}

static cf_status new_loop(cf_fit *fit, const cf_fit_options *o) {
    cf_objective objective = cf_rows_objective(fit->rows);
    cf_training_options options = {.epochs = o->epochs,
                                   .patience = o->patience,
                                   .clip_norm = o->clip_norm,
                                   .ema = o->ema,
                                   .keep_best = true,
                                   .threads = cf_num_threads()};
    cf_spec *optimizer = NULL, *schedule = NULL;
    if (o->epochs < 1)
        return cf_fail(CF_INVALID, "epochs must be 1 or more, got 0");
    cf_status status = spec_or_default(o->optimizer, "Adam", &optimizer);
    if (status == CF_OK)
        status = spec_or_default(o->schedule, "Constant", &schedule);
    options.optimizer = optimizer;
    options.schedule = schedule;
    if (status == CF_OK)
        status = cf_training_new(&fit->loop, &objective, &options);
    cf_spec_free(optimizer);
    cf_spec_free(schedule);
    return status;
}

/* ---- life ---- */

cf_status cf_fit_new(cf_fit **out, cf_flow *flow, const cf_fit_options *options) {
    cf_fit *fit;
    *out = NULL;
    CF_TRY(cf_alloc(&fit, 1, sizeof *fit));
    cf_status status = new_rows(fit, flow, options);
    if (status == CF_OK)
        status = new_loop(fit, options);
    if (status == CF_OK)
        *out = fit;
    else
        cf_fit_free(fit);
    return status;
}

cf_status cf_fit_epoch(cf_fit *fit, cf_poll poll, void *context, cf_epoch_report *report) {
    if (fit->over)
        return cf_fail(CF_INVALID, "the fit is over: its last epoch stopped or failed");
    cf_status status = cf_training_epoch(fit->loop, poll, context, report);
    fit->failed = status != CF_OK;
    fit->over = fit->failed || report->stop != CF_RUNNING;
    return status;
}

void cf_fit_free(cf_fit *fit) {
    if (fit == NULL)
        return;
    if (fit->loop != NULL && !fit->failed)
        (void)cf_training_finish(fit->loop); /* a failure leaves statistics as they are */
    cf_training_free(fit->loop);
    cf_rows_free(fit->rows);
    cf_free(fit);
}
