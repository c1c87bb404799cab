#include "train/batches.h"

#include <math.h>

#include "base/memory.h"
#include "train/losses/losses.h"
#include "train/coupling.h"
#include "train/initialise.h"
#include "train/whiten.h"

struct cf_batches {
    cf_model *model;
    cf_flow *flow;
    const cf_function *loss, *pairs; /* pairs: of a coupling, or NULL */
    cf_coupling *coupling;
    uint64_t steps, seed;
    int threads;
    cf_data data;       /* of the next step */
    size_t capacity;    /* rows that there is room for */
    int64_t *index;     /* of rows of a positive weight */
    double *cotangents; /* of their losses */
    void *penalties;    /* of one batch */
    void *losses;
};

cf_status cf_batches_new(cf_batches **out, cf_model *model, cf_flow *flow, const cf_function *loss,
                         const cf_function *pairs, uint64_t steps, uint64_t seed, int threads) {
    CF_TRY(cf_alloc(out, 1, sizeof **out));
    **out = (cf_batches){.model = model,
                         .flow = flow,
                         .loss = loss,
                         .pairs = pairs,
                         .steps = steps,
                         .seed = seed,
                         .threads = threads};
    return CF_OK;
}

void cf_batches_free(cf_batches *b) {
    if (b == NULL)
        return;
    cf_coupling_free(b->coupling);
    cf_free(b->index);
    cf_free(b->cotangents);
    cf_free(b->penalties);
    cf_free(b->losses);
    cf_free(b);
}

const cf_function *cf_batches_loss(const cf_batches *b) {
    return b->loss;
}

/* Makes room for so many rows. */
static cf_status grow(cf_batches *b, size_t rows) {
    if (rows <= b->capacity)
        return CF_OK;
    b->capacity = 0;
    cf_free(b->index);
    cf_free(b->cotangents);
    cf_free(b->penalties);
    cf_free(b->losses);
    b->index = NULL;
    b->cotangents = NULL;
    b->losses = b->penalties = NULL;
    cf_coupling_free(b->coupling);
    b->coupling = NULL;
    if (b->pairs != NULL)
        CF_TRY(cf_coupling_new(&b->coupling, b->model, b->pairs, rows));
    CF_TRY(cf_alloc(&b->index, rows, sizeof *b->index));
    CF_TRY(cf_alloc(&b->cotangents, rows, sizeof *b->cotangents));
    CF_TRY(cf_alloc(&b->penalties, rows, cf_dtype_size(cf_model_dtype(b->model))));
    CF_TRY(cf_alloc(&b->losses, rows, cf_dtype_size(cf_model_dtype(b->model))));
    b->capacity = rows;
    return CF_OK;
}

/* Lists the rows of a positive weight, each weight read once, and sets data.rows to their number.
 */
static cf_status choose_rows(cf_batches *b) {
    double sum = 0.0;
    size_t kept = 0;
    for (size_t i = 0; i < b->data.rows; i++) {
        double w = cf_data_weight(&b->data, i);
        if (!(w >= 0.0 && isfinite(w)))
            return cf_fail(CF_INVALID, "the weight of row %zu is %g; it must be 0 or more", i, w);
        sum += w;
        if (w == 0.0)
            continue;
        b->index[kept] = (int64_t)i;
        b->cotangents[kept++] = w;
    }
    CF_TRY(cf_check_total_weight(sum, "the batch"));
    for (size_t i = 0; i < kept; i++)
        b->cotangents[i] /= sum;
    b->data.rows = kept;
    if (b->data.weights != NULL)
        b->data.weights = b->cotangents;
    b->data.x.index = b->index;
    if (b->data.context.data != NULL)
        b->data.context.index = b->index;
    return CF_OK;
}

cf_status cf_batches_set(cf_batches *b, const cf_data *data) {
    if (data->rows == 0)
        return cf_fail(CF_INVALID, "a batch has at least 1 row, got 0");
    CF_TRY(grow(b, data->rows));
    b->data = *data;
    CF_TRY(choose_rows(b));
    if (b->pairs != NULL)
        CF_TRY(cf_coupling_check(&b->data, 0));
    if (cf_model_has_batch_statistics(b->model) && b->data.rows < 2)
        return cf_fail(CF_INVALID,
                       "BatchNorm and Resampled learn from batches of two rows or more, got 1");
    return CF_OK;
}

static cf_function_call new_call(const cf_batches *b, const cf_function *function, uint64_t drawn) {
    cf_function_call call = {.function = function,
                             .samples = b->data.rows,
                             .threads = b->threads,
                             .seed = b->seed,
                             .first_sample = drawn};
    cf_call_set_input(&call, "x", b->data.x);
    if (b->data.context.data != NULL)
        cf_call_set_input(&call, "context", b->data.context);
    return call;
}

/* Initialises from the batch of the first step, unless that is not finite and makes no step. */
static cf_status initialise(void *self, uint64_t epoch, bool first) {
    cf_batches *b = self;
    size_t features = b->flow == NULL ? 0 : cf_flow_features(b->flow);
    size_t context = cf_function_input_features(b->loss, "context");
    (void)epoch;
    if (!first || b->flow == NULL || cf_data_check(&b->data, features, context, "") != CF_OK)
        return CF_OK;
    CF_TRY(cf_standardize(b->flow, &b->data, NULL));
    CF_TRY(cf_whiten(b->flow, &b->data, NULL, false));
    cf_function_call call = new_call(b, cf_model_function(b->model, "initialise"), 0);
    if (call.samples > CF_INITIALISATION_SAMPLES)
        call.samples = CF_INITIALISATION_SAMPLES;
    return cf_initialise_from_data(b->flow, &call);
}

static cf_status gradient(void *self, uint64_t step, uint64_t drawn, cf_batch_result *result) {
    cf_batches *b = self;
    (void)step;
    cf_function_call call = new_call(b, b->loss, drawn);
    call.mode = CF_TRAINING;
    call.want_parameter_gradients = true;
    if (b->coupling != NULL)
        CF_TRY(cf_couple(b->coupling, &call));
    cf_call_set_output(&call, "loss", (cf_result){b->losses, 1});
    cf_call_set_cotangent(&call, "loss", cf_double_rows(b->cotangents, 1));
    cf_call_set_penalty(&call, b->penalties, b->cotangents);
    CF_TRY(cf_model_call_locked(b->model, &call));
    result->samples = b->data.rows;
    result->loss =
        cf_mean_loss(b->cotangents, b->losses, result->samples, cf_model_dtype(b->model));
    return CF_OK;
}

cf_objective cf_batches_objective(cf_batches *b) {
    return (cf_objective){.model = b->model,
                          .self = b,
                          .begin_epoch = initialise,
                          .gradient = gradient,
                          .steps_per_epoch = b->steps,
                          .advice = "a smaller learning_rate or clip_norm may help"};
}
