#include "train/coupling.h"

#include <stdlib.h>
#include <string.h>

#include "base/assignment.h"
#include "base/memory.h"

struct cf_coupling {
    cf_model *model;
    const cf_function *pairs;
    size_t features, context, rows;
    double *z, *u, *coupled; /* [rows, features] */
    double *seen;            /* [rows, 1 + context] */
    double *cost;            /* [rows, rows] */
    int64_t *column;         /* by row of a group */
    const double **order;    /* contexts, sorted */
};

/* ---- rows of equal context ---- */

/* Of two rows, before whose numbers their count stands: qsort hands on nothing else. */
static int compare(const void *a, const void *b) {
    const double *x = *(const double *const *)a, *y = *(const double *const *)b;
    size_t features = (size_t)x[0];
    for (size_t f = 1; f <= features; f++)
        if (x[f] != y[f])
            return x[f] < y[f] ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Reads the contexts of the rows into `seen`, [rows, 1 + features], and sorts them. */
static void sort_contexts(const cf_array *context, size_t rows, size_t features, double *seen,
                          const double **order) {
    for (size_t i = 0; i < rows; i++) {
        double *row = seen + i * (1 + features);
        row[0] = (double)features;
        for (size_t f = 0; f < features; f++)
            row[1 + f] = cf_array_number(context, i, f);
        order[i] = row;
    }
    if (features > 0)
        qsort(order, rows, sizeof *order, compare);
}

static bool same_context(const double *x, const double *y, size_t features) {
    for (size_t f = 1; f <= features; f++)
        if (x[f] != y[f])
            return false;
    return true;
}

/* ---- life ---- */

static cf_status allocate(cf_coupling *c) {
    size_t row = c->features * sizeof(double);
    CF_TRY(cf_alloc(&c->z, c->rows, row));
    CF_TRY(cf_alloc(&c->u, c->rows, row));
    CF_TRY(cf_alloc(&c->coupled, c->rows, row));
    CF_TRY(cf_alloc(&c->seen, c->rows, (1 + c->context) * sizeof *c->seen));
    CF_TRY(cf_alloc(&c->cost, c->rows, c->rows * sizeof *c->cost));
    CF_TRY(cf_alloc(&c->column, c->rows, sizeof *c->column));
    return cf_alloc(&c->order, c->rows, sizeof *c->order);
}

cf_status cf_coupling_new(cf_coupling **out, cf_model *model, const cf_function *pairs,
                          size_t rows) {
    *out = NULL;
    cf_coupling *c;
    CF_TRY(cf_alloc(&c, 1, sizeof *c));
    *c = (cf_coupling){.model = model,
                       .pairs = pairs,
                       .features = cf_shape_features(pairs->output[0].shape),
                       .context = cf_function_input_features(pairs, "context"),
                       .rows = rows};
    cf_status status = allocate(c);
    if (status == CF_OK)
        *out = c;
    else
        cf_coupling_free(c);
    return status;
}

void cf_coupling_free(cf_coupling *c) {
    if (c == NULL)
        return;
    cf_free(c->z);
    cf_free(c->u);
    cf_free(c->coupled);
    cf_free(c->seen);
    cf_free(c->cost);
    cf_free(c->column);
    cf_free((void *)c->order);
    cf_free(c);
}

/* ---- a batch ---- */

/* The rows z and independent points u, with the random numbers of the call. */
static cf_status draw(cf_coupling *c, const cf_function_call *call) {
    static const char *const inputs[] = {"x", "context", "jitter"};
    cf_function_call drawn = {.function = c->pairs,
                              .samples = call->samples,
                              .threads = call->threads,
                              .seed = call->seed,
                              .first_sample = call->first_sample};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const cf_array *array = &call->input[cf_function_input(call->function, inputs[i])];
        if (cf_is_port(cf_function_input_port(call->function, inputs[i])) && array->data != NULL)
            cf_call_set_input(&drawn, inputs[i], *array);
    }
    cf_call_set_output(&drawn, "z", (cf_result){c->z, c->features, true});
    cf_call_set_output(&drawn, "u", (cf_result){c->u, c->features, true});
    return cf_model_call_locked(c->model, &drawn);
}

static size_t row_of(const cf_coupling *c, const double *seen) {
    return (size_t)(seen - c->seen) / (1 + c->context);
}

static double squared_distance(const cf_coupling *c, size_t z, size_t u) {
    const double *a = c->z + z * c->features, *b = c->u + u * c->features;
    double sum = 0.0;
    for (size_t f = 0; f < c->features; f++)
        sum += (a[f] - b[f]) * (a[f] - b[f]);
    return sum;
}

/* Couples the rows of one context, order[0] to order[count - 1]. A row that is too far out for its
 * distances to be finite leaves all as they are. */
static cf_status couple_group(cf_coupling *c, const double **order, size_t count) {
    double total = 0.0;
    for (size_t i = 0; i < count; i++) {
        c->column[i] = (int64_t)i;
        for (size_t j = 0; j < count; j++) {
            double cost = squared_distance(c, row_of(c, order[i]), row_of(c, order[j]));
            c->cost[i * count + j] = cost;
            total += cost;
        }
    }
    if (total - total == 0.0)
        CF_TRY(cf_assign(count, c->cost, c->column));
    for (size_t i = 0; i < count; i++)
        memcpy(c->coupled + row_of(c, order[i]) * c->features,
               c->u + row_of(c, order[c->column[i]]) * c->features, c->features * sizeof *c->u);
    return CF_OK;
}

cf_status cf_couple(cf_coupling *c, cf_function_call *call) {
    size_t n = call->samples;
    const cf_array *context = &call->input[cf_function_input(call->function, "context")];
    CF_TRY(draw(c, call));
    sort_contexts(context, n, c->context, c->seen, c->order);
    for (size_t first = 0, end; first < n; first = end) {
        end = first + 1;
        while (end < n && same_context(c->order[first], c->order[end], c->context))
            end++;
        CF_TRY(couple_group(c, c->order + first, end - first));
    }
    cf_call_set_input(call, "u", cf_double_rows(c->coupled, c->features));
    return CF_OK;
}

/* ---- checks ---- */

static cf_status check_weights(const cf_data *data) {
    double weight = 0.0;
    for (size_t i = 0; i < data->rows; i++) {
        double w = cf_data_weight(data, i);
        if (w == 0.0)
            continue;
        if (weight > 0.0 && w != weight)
            return cf_fail(CF_INVALID,
                           "coupling='optimal_transport' takes rows of equal weight, since each "
                           "gets one point of the base; got weights %g and %g",
                           weight, w);
        weight = w;
    }
    return CF_OK;
}

static bool any_equal(const double *const *order, size_t rows, size_t features) {
    for (size_t i = 1; i < rows; i++)
        if (same_context(order[i - 1], order[i], features))
            return true;
    return false;
}

cf_status cf_coupling_check(const cf_data *data, size_t context_features) {
    double *seen = NULL;
    const double **order = NULL;
    bool equal = true;
    CF_TRY(check_weights(data));
    if (context_features == 0 || data->rows < 2)
        return CF_OK;
    cf_status status = cf_alloc(&seen, data->rows, (1 + context_features) * sizeof *seen);
    if (status == CF_OK)
        status = cf_alloc(&order, data->rows, sizeof *order);
    if (status == CF_OK) {
        sort_contexts(&data->context, data->rows, context_features, seen, order);
        equal = any_equal(order, data->rows, context_features);
    }
    cf_free(seen);
    cf_free((void *)order);
    return equal ? status
                 : cf_fail(CF_INVALID,
                           "coupling='optimal_transport' couples rows of equal context, and no two "
                           "of the rows have one: write coupling='independent'");
}
