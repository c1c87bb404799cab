#include "train/rows_state.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/philox.h"
#include "nn/categories.h"
#include "train/initialise.h"
#include "train/losses/losses.h"
#include "train/whiten.h"

enum { SCORED_AT_ONCE = 16384 }; /* rows of the validation data */

/* ---- life ---- */

static cf_status check_jitter(const cf_rows *r, const double *jitter) {
    if (jitter == NULL)
        return CF_OK;
    if (!cf_function_input_port(r->loss, "jitter")->jitter)
        return cf_fail(CF_INVALID, "the loss %s takes no jitter", r->loss->name);
    for (size_t f = 0; f < r->features; f++)
        if (!(jitter[f] >= 0.0 && isfinite(jitter[f])))
            return cf_fail(CF_INVALID, "jitter must be 0 or more, got %g for column %zu", jitter[f],
                           f);
    return CF_OK;
}

/* CF_INVALID if a context of the flow is none of its column's categories. */
static cf_status check_categories(const cf_rows *r, const cf_data *data, const char *what) {
    const cf_spec *embedding = r->flow != NULL ? r->flow->embedding.spec : NULL;
    for (size_t f = 0; f < r->context && data->context.data != NULL; f++) {
        double last = (double)cf_categories_of(embedding, f) - 1.0;
        for (size_t i = 0; i < data->rows && last > 0.0; i++) {
            double value = cf_array_number(&data->context, i, f);
            if (!(value >= 0.0 && value <= last && value == floor(value)))
                return cf_fail(CF_INVALID,
                               "%s, context: row %lld holds %g in column %zu; its categories are 0 "
                               "to %g",
                               what, (long long)cf_array_row(&data->context, i), value, f, last);
        }
    }
    return CF_OK;
}

static cf_status check_data(const cf_rows *r, const cf_data *data, const char *what) {
    CF_TRY(cf_data_check(data, r->features, r->context, what));
    return check_categories(r, data, what);
}

static cf_status check(const cf_rows *r, const cf_rows_options *o) {
    CF_TRY(check_data(r, &r->train, "training data"));
    if (o->validation != NULL)
        CF_TRY(check_data(r, &r->validation, "validation data"));
    if (r->batch_size < 1 || r->batch_size > r->train.rows)
        return cf_fail(CF_INVALID,
                       "batch_size must be from 1 to the %zu rows of the training data, got %llu",
                       r->train.rows, (unsigned long long)r->batch_size);
    return check_jitter(r, o->jitter);
}

/* All steps of an epoch have the same number of rows, or one less. */
static cf_status count_rows(cf_rows *r) {
    for (size_t i = 0; i < r->train.rows; i++)
        r->rows += cf_data_weight(&r->train, i) > 0.0;
    r->mean_weight = cf_data_mean_weight(&r->train) * ((double)r->train.rows / (double)r->rows);
    r->steps = (r->rows + r->batch_size - 1) / r->batch_size;
    if (cf_model_has_batch_statistics(r->model) && r->rows / r->steps < 2)
        return cf_fail(CF_INVALID,
                       "BatchNorm and Resampled learn from batches of two rows or more, got "
                       "batch_size %llu for "
                       "%zu rows",
                       (unsigned long long)r->batch_size, r->rows);
    return CF_OK;
}

static cf_status allocate(cf_rows *r, const double *jitter) {
    size_t batch = (size_t)r->batch_size;
    size_t scored = batch > SCORED_AT_ONCE ? batch : SCORED_AT_ONCE;
    CF_TRY(cf_alloc(&r->order, r->rows, sizeof *r->order));
    CF_TRY(cf_alloc(&r->batch, batch, sizeof *r->batch));
    CF_TRY(cf_alloc(&r->cotangents, batch, sizeof *r->cotangents));
    CF_TRY(cf_alloc(&r->penalties, batch, cf_dtype_size(cf_model_dtype(r->model))));
    CF_TRY(cf_alloc(&r->losses, scored, cf_dtype_size(cf_model_dtype(r->model))));
    if (jitter == NULL)
        return CF_OK;
    CF_TRY(cf_alloc(&r->jitter, r->features, sizeof *r->jitter));
    memcpy(r->jitter, jitter, r->features * sizeof *r->jitter);
    return CF_OK;
}

static cf_status check_coupling(const cf_rows *r) {
    if (r->train.u.data != NULL)
        return cf_fail(CF_INVALID, "coupling='optimal_transport' couples the rows with points of "
                                   "the base, got u, points that belong to them already");
    CF_TRY(cf_coupling_check(&r->train, r->context));
    return r->validation.rows > 0 ? cf_coupling_check(&r->validation, 0) : CF_OK;
}

static cf_status begin(cf_rows *r, const cf_rows_options *o) {
    if (o->validation != NULL && o->validation->rows == 0)
        return cf_fail(CF_INVALID, "validation data: no rows");
    CF_TRY(cf_data_copy(&r->train, o->train));
    if (o->validation != NULL)
        CF_TRY(cf_data_copy(&r->validation, o->validation));
    CF_TRY(check(r, o));
    CF_TRY(count_rows(r));
    if (o->pairs != NULL) {
        CF_TRY(check_coupling(r));
        CF_TRY(cf_coupling_new(&r->coupling, r->model, o->pairs, (size_t)r->batch_size));
    }
    return allocate(r, o->jitter);
}

cf_status cf_rows_new(cf_rows **out, cf_model *model, const cf_rows_options *o) {
    const cf_function *loss = o->loss;
    cf_rows *r;
    *out = NULL;
    CF_TRY(cf_alloc(&r, 1, sizeof *r));
    *r = (cf_rows){.model = model,
                   .flow = o->flow,
                   .loss = loss,
                   .batch_size = o->batch_size,
                   .seed = o->seed,
                   .threads = o->threads,
                   .features = cf_function_input_features(loss, "x"),
                   .context = cf_function_input_features(loss, "context"),
                   .kl_weight = 1.0,
                   .standardize_again = o->standardize_again};
    cf_status status = begin(r, o);
    if (status != CF_OK)
        cf_rows_free(r);
    else
        *out = r;
    return status;
}

void cf_rows_free(cf_rows *r) {
    if (r == NULL)
        return;
    cf_coupling_free(r->coupling);
    cf_data_free(&r->train);
    cf_data_free(&r->validation);
    cf_free(r->order);
    cf_free(r->batch);
    cf_free(r->cotangents);
    cf_free(r->penalties);
    cf_free(r->losses);
    cf_free(r->jitter);
    cf_free(r);
}

cf_status cf_rows_set_kl_weight(cf_rows *r, double weight) {
    if (weight != 1.0 && !cf_is_port(cf_function_input_port(r->loss, "kl_weight")))
        return cf_fail(CF_INVALID, "the loss %s has no kl_weight", r->loss->name);
    r->kl_weight = weight;
    return CF_OK;
}

/* ---- calls ---- */

cf_function_call cf_rows_call(const cf_rows *r, const cf_function *function, const cf_data *data,
                              const int64_t *index) {
    cf_function_call call = {.function = function, .threads = r->threads, .seed = r->seed};
    cf_array x = data->x, context = data->context, u = data->u;
    if (index != NULL)
        x.index = context.index = u.index = index;
    cf_call_set_input(&call, "x", x);
    if (context.data != NULL)
        cf_call_set_input(&call, "context", context);
    if (u.data != NULL && cf_is_port(cf_function_input_port(function, "u")))
        cf_call_set_input(&call, "u", u);
    if (r->jitter != NULL) {
        cf_array jitter = cf_double_rows(r->jitter, r->features);
        jitter.row_stride = 0;
        cf_call_set_input(&call, "jitter", jitter);
    }
    return call;
}

/* ---- training ---- */

/* The first row, in the epoch's order, of step `step` of the epoch. */
static size_t first_of(const cf_rows *r, uint64_t step) {
    uint64_t min = r->rows / r->steps, more = r->rows % r->steps;
    return (size_t)(step * min + (step < more ? step : more));
}

/* The order of an epoch depends on the seed and the epoch's number alone. Rows of weight 0, which
 * may lie where the loss has neither value nor gradient, are left out. */
static void shuffle(cf_rows *r, uint64_t epoch) {
    size_t n = 0;
    for (size_t i = 0; i < r->train.rows && n < r->rows; i++)
        if (cf_data_weight(&r->train, i) > 0.0)
            r->order[n++] = (int64_t)i;
    cf_philox_shuffle(r->order, (int64_t)r->rows, r->seed, CF_STREAM_SHUFFLE, (uint32_t)epoch);
}

/* Which rows the batch that begins at `first` has, and the cotangents of their losses. */
static void fill_batch(cf_rows *r, size_t first, size_t rows) {
    const int64_t *index = r->train.x.index;
    double share = 1.0 / ((double)rows * r->mean_weight);
    for (size_t i = 0; i < rows; i++) {
        int64_t position = r->order[first + i];
        r->batch[i] = index != NULL ? index[position] : position;
        r->cotangents[i] = cf_data_weight(&r->train, (size_t)position) * share;
    }
}

static cf_status gradient(void *self, uint64_t step, uint64_t drawn, cf_batch_result *result) {
    cf_rows *r = self;
    size_t first = first_of(r, step), rows = first_of(r, step + 1) - first;
    fill_batch(r, first, rows);
    cf_function_call call = cf_rows_call(r, r->loss, &r->train, r->batch);
    cf_array weight = cf_double_rows(&r->kl_weight, 1);
    weight.row_stride = 0;
    call.samples = rows;
    call.first_sample = drawn;
    call.mode = CF_TRAINING;
    call.want_parameter_gradients = true;
    if (r->kl_weight != 1.0)
        cf_call_set_input(&call, "kl_weight", weight);
    if (r->coupling != NULL)
        CF_TRY(cf_couple(r->coupling, &call));
    cf_call_set_output(&call, "loss", (cf_result){r->losses, 1});
    cf_call_set_cotangent(&call, "loss", cf_double_rows(r->cotangents, 1));
    cf_call_set_penalty(&call, r->penalties, r->cotangents);
    CF_TRY(cf_model_call_locked(r->model, &call));
    result->loss = cf_mean_loss(r->cotangents, r->losses, rows, cf_model_dtype(r->model));
    if (cf_loss_has_penalty(r->loss))
        result->penalty = cf_mean_loss(r->cotangents, r->penalties, rows, cf_model_dtype(r->model));
    result->samples = rows;
    return CF_OK;
}

/* ---- scoring ---- */

/* The losses of the rows [first, first + rows) of `data` into r->losses. Noise is the same in every
 * epoch. */
static cf_status score(cf_rows *r, const cf_data *data, size_t first, size_t rows) {
    cf_function_call call = cf_rows_call(r, r->loss, data, NULL);
    size_t context = cf_function_input(r->loss, "context");
    call.samples = rows;
    call.first_sample = (UINT64_C(1) << 63) + first;
    cf_call_set_output(&call, "loss", (cf_result){r->losses, 1});
    cf_array_skip(&call.input[cf_function_input(r->loss, "x")], first);
    if (data->context.data != NULL)
        cf_array_skip(&call.input[context], first);
    if (data->u.data != NULL)
        cf_array_skip(&call.input[cf_function_input(r->loss, "u")], first);
    if (r->coupling != NULL)
        CF_TRY(cf_couple(r->coupling, &call));
    return cf_model_call_locked(r->model, &call);
}

/* How many rows are scored at once from `first` on: a coupling is one of batches. */
static size_t chunk_of(const cf_rows *r, const cf_data *data, size_t first) {
    size_t most = r->coupling != NULL ? (size_t)r->batch_size : SCORED_AT_ONCE;
    return data->rows - first < most ? data->rows - first : most;
}

static cf_status validate(void *self, cf_interrupt *interrupt, double *loss) {
    cf_rows *r = self;
    const cf_data *data = &r->validation;
    double sum = 0.0, total = 0.0;
    for (size_t first = 0, rows; first < data->rows && !cf_interrupted(interrupt); first += rows) {
        rows = chunk_of(r, data, first);
        CF_TRY(score(r, data, first, rows));
        for (size_t i = 0; i < rows; i++) {
            double w = cf_data_weight(data, first + i);
            sum += w > 0.0 ? w * cf_number_at(r->losses, i, cf_model_dtype(r->model)) : 0.0;
            total += w;
        }
    }
    *loss = sum / total;
    return CF_OK;
}

/* ---- initialisation ---- */

/* Fails if a row with a weight lies where the loss has no value. */
static cf_status check_domain(cf_rows *r, const cf_data *data, const char *what) {
    for (size_t first = 0, rows; first < data->rows; first += rows) {
        rows = chunk_of(r, data, first);
        CF_TRY(score(r, data, first, rows));
        for (size_t i = 0; i < rows; i++) {
            double found = cf_number_at(r->losses, i, cf_model_dtype(r->model));
            long long row = cf_data_row_number(data, first + i);
            if (isfinite(found) || cf_data_weight(data, first + i) == 0.0)
                continue;
            if (r->flow == NULL)
                return cf_fail(CF_INVALID, "%s: row %lld has the loss %g", what, row, found);
            return cf_fail(CF_INVALID,
                           "%s: row %lld has log_prob %g: it lies outside the domain of a layer or "
                           "of the base",
                           what, row, isnan(found) ? fabs(found) : -found);
        }
    }
    return CF_OK;
}

/* Fails, with all buffers as they were, if data lie where the loss has no value. */
static cf_status check_domains(cf_rows *r) {
    if (r->flow != NULL && !cf_flow_has_restricted_domain(r->flow))
        return CF_OK;
    CF_TRY(check_domain(r, &r->train, "training data"));
    return check_domain(r, &r->validation, "validation data");
}

static cf_status standardize(cf_rows *r) {
    size_t bytes = cf_model_buffer_bytes(r->model);
    double *before;
    CF_TRY(cf_alloc(&before, bytes, 1));
    memcpy(before, cf_model_buffers(r->model), bytes);
    if (r->flow != NULL && r->standardize_again)
        cf_forget_standardization(r->flow);
    cf_status status = r->flow != NULL ? cf_standardize(r->flow, &r->train, r->jitter) : CF_OK;
    if (status == CF_OK)
        status = check_domains(r);
    if (status != CF_OK)
        memcpy(cf_model_buffers(r->model), before, bytes);
    cf_free(before);
    return status;
}

/* Initialises from the first rows of the epoch. */
static cf_status initialise_from_data(cf_rows *r) {
    size_t rows = r->rows < CF_INITIALISATION_SAMPLES ? r->rows : CF_INITIALISATION_SAMPLES;
    const int64_t *index = r->train.x.index;
    int64_t *first;
    if (r->flow == NULL)
        return CF_OK;
    CF_TRY(cf_alloc(&first, rows, sizeof *first));
    for (size_t i = 0; i < rows; i++)
        first[i] = index != NULL ? index[r->order[i]] : r->order[i];
    cf_function_call call =
        cf_rows_call(r, cf_model_function(r->model, "initialise"), &r->train, first);
    call.samples = rows;
    cf_status status = cf_initialise_from_data(r->flow, &call);
    cf_free(first);
    return status;
}

static cf_status begin_epoch(void *self, uint64_t epoch, bool first) {
    cf_rows *r = self;
    shuffle(r, epoch);
    if (!first)
        return CF_OK;
    CF_TRY(standardize(r));
    if (r->flow != NULL)
        CF_TRY(cf_whiten(r->flow, &r->train, r->jitter, r->standardize_again));
    return initialise_from_data(r);
}

cf_objective cf_rows_objective(cf_rows *r) {
    return (cf_objective){.model = r->model,
                          .self = r,
                          .begin_epoch = begin_epoch,
                          .gradient = gradient,
                          .validate = r->validation.rows > 0 ? validate : NULL,
                          .settle =
                              cf_model_has_running_statistics(r->model) ? cf_rows_settle : NULL,
                          .steps_per_epoch = r->steps,
                          .advice = "a smaller learning_rate or clip_norm may help"};
}
