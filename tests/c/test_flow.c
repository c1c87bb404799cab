/* The core without Python: builds, trains, scores and samples a flow, and adds a bijection from
 * outside. */
#include <string.h>

#include "check.h"
#include "flow/flow.h"
#include "layers/registry.h"
#include "ops/ops.h"
#include "train/losses/losses.h"
#include "train/rows.h"

enum { ROWS = 600, FEATURES = 2 };

/* A noisy arc: x2 = x1^2 + noise. Its entropy is that of the noise plus that of x1. */
static void make_arc(double *x) {
    unsigned state = 7;
    for (int i = 0; i < ROWS; i++) {
        x[2 * i] = 2.0 * check_random(&state);
        x[2 * i + 1] = x[2 * i] * x[2 * i] + 0.3 * check_random(&state);
    }
}

static cf_spec *new_spec(const char *name) {
    cf_spec *spec;
    CHECK_OK(cf_spec_new(&spec, cf_spec_type_named(name)));
    return spec;
}

/* Four couplings, alternately keeping either feature, and standardisation. */
static cf_flow *new_flow(void) {
    cf_spec *layers[5];
    cf_flow *flow;
    for (int i = 0; i < 4; i++) {
        layers[i] = new_spec("Coupling");
        CHECK_OK(cf_spec_set_string(layers[i], "mask", "alternating"));
        CHECK_OK(cf_spec_set_bool(layers[i], "swap", i % 2));
        CHECK_OK(cf_spec_set_ints(layers[i], "hidden", (int64_t[]){32, 32}, 2));
    }
    layers[4] = new_spec("Affine");
    for (int i = 0; i < 5; i++)
        CHECK_OK(cf_spec_finish(layers[i]));
    cf_flow_parts parts = {
        .layers = layers, .layer_count = 5, .shape = cf_vector(FEATURES), .seed = 1};
    CHECK_OK(cf_flow_new(&flow, &parts));
    for (int i = 0; i < 5; i++)
        cf_spec_free(layers[i]);
    return flow;
}

static cf_training *new_loop(cf_rows *rows) {
    cf_spec *optimizer, *schedule;
    cf_training *loop;
    CHECK_OK(cf_spec_new(&optimizer, &cf_adam_type));
    CHECK_OK(cf_spec_set_real(optimizer, "learning_rate", 3e-3));
    CHECK_OK(cf_spec_finish(optimizer));
    CHECK_OK(cf_spec_new(&schedule, &cf_cosine_type));
    CHECK_OK(cf_spec_finish(schedule));
    cf_objective objective = cf_rows_objective(rows);
    cf_training_options options = {.optimizer = optimizer,
                                   .schedule = schedule,
                                   .epochs = 60,
                                   .clip_norm = 5.0,
                                   .keep_best = true,
                                   .threads = 2};
    CHECK_OK(cf_training_new(&loop, &objective, &options));
    cf_spec_free(optimizer);
    cf_spec_free(schedule);
    return loop;
}

static void train(cf_flow *flow, const double *x, double *first, double *last) {
    cf_data data = {.rows = ROWS, .x = cf_double_rows(x, FEATURES)};
    cf_rows_options options = {
        .flow = flow, .train = &data, .batch_size = 100, .seed = 3, .threads = 2};
    cf_rows *rows;
    cf_epoch_report report = {0};
    CHECK_OK(cf_find_loss(flow->model, flow, "likelihood", &options.loss));
    CHECK_OK(cf_rows_new(&rows, flow->model, &options));
    cf_training *loop = new_loop(rows);
    cf_function_call call = {.function = options.loss, .samples = 1, .threads = 1};
    cf_call_set_input(&call, "x", data.x);
    CHECK(cf_model_call(flow->model, &call) == CF_BUSY);
    for (int epoch = 0; report.stop == CF_RUNNING; epoch++) {
        CHECK_OK(cf_training_epoch(loop, NULL, NULL, &report));
        if (epoch == 0)
            *first = report.train;
    }
    CHECK(report.stop == CF_STOP_EPOCHS && report.skipped == 0);
    *last = report.train;
    cf_training_free(loop);
    cf_rows_free(rows);
}

static void test_learning(void) {
    static double x[ROWS * FEATURES];
    static float log_prob[ROWS], samples[ROWS * FEATURES], density[ROWS];
    double first = 0.0, last, mean = 0.0, inside = 0.0;
    cf_flow *flow = new_flow();
    make_arc(x);
    train(flow, x, &first, &last);
    CHECK(last < first - 0.5);
    cf_function_call call = {
        .function = cf_model_function(flow->model, "log_prob"), .samples = ROWS, .threads = 2};
    cf_call_set_input(&call, "x", cf_double_rows(x, FEATURES));
    cf_call_set_output(&call, "log_prob", (cf_result){log_prob, 1});
    CHECK_OK(cf_model_call(flow->model, &call));
    for (int i = 0; i < ROWS; i++)
        mean -= log_prob[i] / ROWS;
    /* The truth is log 4 + log 0.6 = 0.88 nats. */
    CHECK(mean > 0.88 - 0.25 && mean < 0.88 + 0.35);
    cf_function_call draw = {.function = cf_model_function(flow->model, "sample"),
                             .samples = ROWS,
                             .threads = 2,
                             .seed = 9};
    cf_call_set_output(&draw, "x", (cf_result){samples, FEATURES});
    cf_call_set_output(&draw, "log_prob", (cf_result){density, 1});
    CHECK_OK(cf_model_call(flow->model, &draw));
    for (int i = 0; i < ROWS; i++)
        inside += fabs(samples[2 * i + 1] - samples[2 * i] * samples[2 * i]) < 0.5;
    CHECK(inside > 0.85 * ROWS);
    cf_model_free(flow->model);
}

/* --- a bijection from outside: x = u + a u^3 with a learned a > 0 would need a root; x = sinh(u)
 * does not --------- */

static cf_status bind_sinh(cf_layer *layer, cf_binding *binding) {
    (void)layer;
    (void)binding;
    return CF_OK;
}

/* x = (exp(u) - exp(-u)) / 2, log_det = sum of log((exp(u) + exp(-u)) / 2). */
static cf_value sinh_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                             cf_value *log_det) {
    (void)layer;
    (void)context;
    cf_value up = cf_exp(b, u), down = cf_exp(b, cf_scale_shift(b, u, -1.0, 0.0));
    *log_det = cf_sum_features(b, cf_log(b, cf_scale_shift(b, cf_add(b, up, down), 0.5, 0.0)));
    return cf_scale_shift(b, cf_subtract(b, up, down), 0.5, 0.0);
}

/* u = log(x + sqrt(x^2 + 1)); log_det = -sum of log sqrt(x^2 + 1), the root being exp(log(x^2 + 1)
 * / 2). */
static cf_value sinh_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                             cf_value *log_det) {
    (void)layer;
    (void)context;
    cf_value half = cf_scale_shift(b, cf_log1p(b, cf_multiply(b, x, x)), 0.5, 0.0);
    *log_det = cf_scale_shift(b, cf_sum_features(b, half), -1.0, 0.0);
    return cf_log(b, cf_add(b, x, cf_exp(b, half)));
}

static void test_layer_from_outside(void) {
    static const cf_layer_methods methods = {
        .bind = bind_sinh, .forward = sinh_forward, .inverse = sinh_inverse};
    static const cf_spec_type type = {.name = "Sinh", .role = "layer", .methods = &methods};
    cf_spec *layers[2];
    cf_flow *flow;
    double u[3 * FEATURES] = {0.3, -1.2, 2.0, 0.0, -0.7, 1.1};
    double x[3 * FEATURES], back[3 * FEATURES], forward[3], inverse[3], dx[3 * FEATURES];
    CHECK_OK(cf_spec_new(&layers[0], &type));
    CHECK_OK(cf_spec_finish(layers[0]));
    layers[1] = new_spec("Permutation");
    CHECK_OK(cf_spec_finish(layers[1]));
    cf_flow_parts parts = {
        .layers = layers, .layer_count = 2, .shape = cf_vector(FEATURES), .dtype = CF_FLOAT64};
    CHECK_OK(cf_flow_new(&flow, &parts));
    cf_function_call call = {
        .function = cf_model_function(flow->model, "forward"), .samples = 3, .threads = 1};
    cf_call_set_input(&call, "u", cf_double_rows(u, FEATURES));
    cf_call_set_output(&call, "x", (cf_result){x, FEATURES});
    cf_call_set_output(&call, "log_det", (cf_result){forward, 1});
    CHECK_OK(cf_model_call(flow->model, &call));
    call = (cf_function_call){
        .function = cf_model_function(flow->model, "inverse"), .samples = 3, .threads = 1};
    CHECK(cf_model_call(flow->model, &call) == CF_INVALID);
    CHECK(strstr(cf_message(), "inverse needs x of 2 features") != NULL);
    cf_call_set_input(&call, "x", cf_double_rows(x, FEATURES));
    cf_call_set_output(&call, "u", (cf_result){back, FEATURES});
    cf_call_set_output(&call, "log_det", (cf_result){inverse, 1});
    CHECK_OK(cf_model_call(flow->model, &call));
    call = (cf_function_call){
        .function = cf_model_function(flow->model, "score"), .samples = 3, .threads = 1};
    cf_call_set_input(&call, "x", cf_double_rows(x, FEATURES));
    cf_call_set_output(&call, "score", (cf_result){dx, FEATURES});
    CHECK_OK(cf_model_call(flow->model, &call));
    for (int i = 0; i < 3; i++) {
        const double *row = u + 2 * i;
        CHECK_CLOSE(x[2 * i], sinh(row[1]), 1e-15);
        CHECK_CLOSE(x[2 * i + 1], sinh(row[0]), 1e-15);
        CHECK_CLOSE(forward[i], log(cosh(row[0])) + log(cosh(row[1])), 1e-14);
        CHECK_CLOSE(inverse[i], -forward[i], 1e-14);
        CHECK_CLOSE(back[2 * i], row[0], 1e-14);
        /* d/dx [-asinh(x)^2 / 2 - log(x^2 + 1) / 2] */
        double v = x[2 * i + 1], root = sqrt(v * v + 1);
        CHECK_CLOSE(dx[2 * i + 1], -row[0] / root - v / (v * v + 1), 1e-13);
    }
    cf_model_free(flow->model);
    cf_spec_free(layers[0]);
    cf_spec_free(layers[1]);
}

static void test_bad_specs(void) {
    cf_spec *spec = new_spec("Permutation");
    cf_flow *flow;
    CHECK(cf_spec_set_ints(spec, "nonsense", NULL, 0) == CF_INVALID);
    CHECK(cf_spec_set_real(spec, "indices", 1.5) == CF_TYPE);
    CHECK(cf_spec_set_string(spec, "indices", "sideways") == CF_INVALID);
    CHECK(strstr(cf_message(), "'reverse', 'random'") != NULL);
    CHECK_OK(cf_spec_set_ints(spec, "indices", (int64_t[]){0, 1, 1}, 3));
    CHECK(cf_spec_finish(spec) == CF_INVALID);
    CHECK(strstr(cf_message(), "repeated") != NULL);
    CHECK_OK(cf_spec_set_ints(spec, "indices", (int64_t[]){0, 2, 1}, 3));
    CHECK_OK(cf_spec_finish(spec));
    cf_flow_parts parts = {.layers = &spec, .layer_count = 1, .shape = cf_vector(2)};
    CHECK(cf_flow_new(&flow, &parts) == CF_INVALID && flow == NULL);
    parts.shape = cf_vector(3);
    parts.base = spec;
    CHECK(cf_flow_new(&flow, &parts) == CF_TYPE && flow == NULL);
    parts.base = NULL;
    parts.embedding = spec;
    CHECK(cf_flow_new(&flow, &parts) == CF_TYPE && flow == NULL);
    cf_spec_free(spec);
}

int main(void) {
    test_learning();
    test_layer_from_outside();
    test_bad_specs();
    return 0;
}
