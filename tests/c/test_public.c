/* The library as its users see it: cflows.h and nothing else of the core. A RealNVP learns a
 * mixture of two normal distributions, whose density is known; what it computes is held against
 * quadrature, differences and moments. */
#include <cflows.h>
#include <string.h>

#include "check.h"

enum { ROWS = 1500, HELD_OUT = 500, LAYERS = 5, GRID = 160, DRAWN = 8000 };

static const double pi = 3.14159265358979323846;
static double data[ROWS * 2], held_out[HELD_OUT * 2];

/* ---- the truth: weights 0.6 and 0.4, the second component correlated ---- */

static double normal(unsigned *state) {
    double u = (check_random(state) + 1.0) / 2.0 + 1e-9, v = check_random(state);
    return sqrt(-2.0 * log(u)) * cos(pi * v);
}

static void draw_truth(double *x, size_t rows, unsigned state) {
    for (size_t i = 0; i < rows; i++) {
        bool first = check_random(&state) < 0.2;
        double a = normal(&state), b = normal(&state);
        x[2 * i] = first ? -1.0 + 0.5 * a : 1.0 + 0.6 * a;
        x[2 * i + 1] = first ? 0.5 * b : 0.6 * (0.8 * a + 0.6 * b);
    }
}

static double true_log_prob(const double *x) {
    double a = (x[0] + 1.0) / 0.5, b = x[1] / 0.5;
    double first = exp(-(a * a + b * b) / 2.0) / (2.0 * pi * 0.25);
    a = (x[0] - 1.0) / 0.6;
    b = (x[1] / 0.6 - 0.8 * a) / 0.6;
    return log(0.6 * first + 0.4 * exp(-(a * a + b * b) / 2.0) / (2.0 * pi * 0.36 * 0.6));
}

/* ---- flows ---- */

static cf_spec *new_spec(const char *type) {
    cf_spec *spec;
    CHECK_OK(cf_spec_new_named(&spec, type));
    return spec;
}

/* Couplings that transform one feature and then the other, and standardisation. */
static void new_layers(cf_spec *layers[LAYERS]) {
    cf_spec *net = new_spec("MLP");
    CHECK_OK(cf_spec_set_ints(net, "hidden", (const int64_t[]){24, 24}, 2));
    CHECK_OK(cf_spec_finish(net));
    for (int i = 0; i < LAYERS - 1; i++) {
        layers[i] = new_spec("Coupling");
        CHECK_OK(cf_spec_set_bools(layers[i], "mask", (const bool[]){true, false}, 2));
        CHECK_OK(cf_spec_set_bool(layers[i], "swap", i % 2));
        CHECK_OK(cf_spec_set_string(layers[i], "transform", "affine"));
        CHECK_OK(cf_spec_set_spec(layers[i], "conditioner", net));
        CHECK_OK(cf_spec_finish(layers[i]));
    }
    layers[LAYERS - 1] = new_spec("Affine");
    CHECK_OK(cf_spec_finish(layers[LAYERS - 1]));
    cf_spec_free(net);
}

static cf_flow *new_flow(cf_dtype dtype, uint64_t seed, size_t context_features) {
    cf_spec *layers[LAYERS];
    cf_flow *flow;
    new_layers(layers);
    cf_flow_parts parts = {.layers = layers,
                           .layer_count = LAYERS,
                           .shape = cf_vector(2),
                           .context_features = context_features,
                           .dtype = dtype,
                           .seed = seed};
    CHECK_OK(cf_flow_new(&flow, &parts));
    for (int i = 0; i < LAYERS; i++)
        cf_spec_free(layers[i]);
    return flow;
}

static cf_matrix points_of(const double *x, size_t rows) {
    return cf_doubles(x, rows, 2);
}

static void log_prob_of(const cf_flow *flow, const double *x, size_t rows, double *log_prob) {
    CHECK_OK(cf_flow_log_prob(flow, points_of(x, rows), cf_no_context(), log_prob));
}

/* ---- learning ---- */

static void fit(cf_flow *flow) {
    cf_spec *optimizer = new_spec("Adam"), *schedule = new_spec("Cosine");
    cf_epoch_report report = {.stop = CF_RUNNING};
    double first = 0.0, log_prob;
    cf_fit *running, *other;
    CHECK_OK(cf_spec_set_real(optimizer, "learning_rate", 1e-2));
    CHECK_OK(cf_spec_finish(optimizer));
    CHECK_OK(cf_spec_finish(schedule));
    cf_fit_options options = {.train = {.x = points_of(data, ROWS)},
                              .validation = {.x = points_of(held_out, HELD_OUT)},
                              .optimizer = optimizer,
                              .schedule = schedule,
                              .epochs = 25,
                              .batch_size = 100,
                              .clip_norm = 5.0,
                              .seed = 1};
    CHECK_OK(cf_fit_new(&running, flow, &options));
    cf_spec_free(optimizer);
    cf_spec_free(schedule);
    CHECK(cf_flow_log_prob(flow, points_of(data, 1), cf_no_context(), &log_prob) == CF_BUSY);
    CHECK(cf_flow_set_tensor(flow, cf_flow_tensor_count(flow) - 1, data, 4) == CF_BUSY);
    CHECK(cf_fit_new(&other, flow, &options) == CF_BUSY && other == NULL);
    for (uint64_t epoch = 1; report.stop == CF_RUNNING; epoch++) {
        CHECK_OK(cf_fit_epoch(running, NULL, NULL, &report));
        CHECK(report.epoch == epoch && report.step == 15 * epoch && report.skipped == 0);
        first = epoch == 1 ? report.validation : first;
    }
    CHECK(report.stop == CF_STOP_EPOCHS && report.epoch == 25);
    CHECK(report.validation < first - 0.1);
    CHECK(cf_fit_epoch(running, NULL, NULL, &report) == CF_INVALID);
    cf_fit_free(running);
}

/* The held-out rows have the mean log-density of the truth but for what the flow has not learned,
 * its Kullback-Leibler divergence, which is positive but for chance. */
static void test_density(const cf_flow *flow) {
    static double log_prob[HELD_OUT];
    double divergence = 0.0;
    log_prob_of(flow, held_out, HELD_OUT, log_prob);
    for (size_t i = 0; i < HELD_OUT; i++)
        divergence += (true_log_prob(held_out + 2 * i) - log_prob[i]) / HELD_OUT;
    CHECK(divergence > -0.05 && divergence < 0.15);
}

/* ---- what a flow computes ---- */

/* The integral of the density is 1, and samples have the moments that it has. */
static void test_quadrature_and_samples(const cf_flow *flow) {
    static double x[GRID * GRID * 2], density[GRID * GRID], samples[DRAWN * 2], log_prob[DRAWN];
    static double again[DRAWN];
    const double low = -6.0, step = 12.0 / GRID;
    double total = 0.0, mean[2] = {0}, square[3] = {0};
    for (size_t i = 0; i < GRID * GRID; i++) {
        x[2 * i] = low + step * ((double)(i / GRID) + 0.5);
        x[2 * i + 1] = low + step * ((double)(i % GRID) + 0.5);
    }
    log_prob_of(flow, x, GRID * GRID, density);
    for (size_t i = 0; i < GRID * GRID; i++) {
        double p = exp(density[i]) * step * step, a = x[2 * i], b = x[2 * i + 1];
        const double terms[6] = {p, p * a, p * b, p * a * a, p * a * b, p * b * b};
        total += terms[0];
        mean[0] += terms[1], mean[1] += terms[2];
        square[0] += terms[3], square[1] += terms[4], square[2] += terms[5];
    }
    CHECK_CLOSE(total, 1.0, 2e-3);
    CHECK_OK(cf_flow_sample(flow, DRAWN, cf_no_context(), 3, 0, samples, log_prob));
    log_prob_of(flow, samples, DRAWN, again);
    for (size_t i = 0; i < DRAWN; i++) {
        double a = samples[2 * i], b = samples[2 * i + 1];
        CHECK_CLOSE(log_prob[i], again[i], 1e-9);
        mean[0] -= a / DRAWN, mean[1] -= b / DRAWN;
        square[0] -= a * a / DRAWN, square[1] -= a * b / DRAWN, square[2] -= b * b / DRAWN;
    }
    /* Five standard errors of means of numbers of deviations about 1, and 2 for the products. */
    for (int k = 0; k < 3; k++) {
        CHECK(k == 2 || fabs(mean[k]) < 5.0 * 1.2 / sqrt(DRAWN));
        CHECK(fabs(square[k]) < 5.0 * 2.0 / sqrt(DRAWN));
    }
    CHECK_OK(cf_flow_sample(flow, 77, cf_no_context(), 3, 1000, x, NULL));
    CHECK(memcmp(x, samples + 2 * 1000, 2 * 77 * sizeof *x) == 0);
}

/* Round trips, and derivatives against central differences, whose error is of order h^2. */
static void test_derivatives(const cf_flow *flow) {
    enum { N = 50 };
    const double h = 1e-5;
    double u[N * 2], back[N * 2], log_det[N], opposite[N], score[N * 2], log_prob[N];
    double moved[4][N * 2], far_u[4][N * 2], far_log_prob[4][N];
    CHECK_OK(cf_flow_inverse(flow, points_of(data, N), cf_no_context(), u, log_det));
    CHECK_OK(cf_flow_forward(flow, points_of(u, N), cf_no_context(), back, opposite));
    CHECK_OK(cf_flow_score(flow, points_of(data, N), cf_no_context(), score, log_prob));
    for (int k = 0; k < 4; k++) {
        memcpy(moved[k], data, sizeof moved[k]);
        for (int i = 0; i < N; i++)
            moved[k][2 * i + k / 2] += k % 2 ? h : -h;
        CHECK_OK(cf_flow_inverse(flow, points_of(moved[k], N), cf_no_context(), far_u[k], NULL));
        log_prob_of(flow, moved[k], N, far_log_prob[k]);
    }
    for (int i = 0; i < N; i++) {
        double slope[2][2];
        for (int k = 0; k < 2; k++) {
            for (int f = 0; f < 2; f++) {
                slope[k][f] = (far_u[2 * k + 1][2 * i + f] - far_u[2 * k][2 * i + f]) / (2.0 * h);
                CHECK_CLOSE(back[2 * i + f], data[2 * i + f], 1e-12);
            }
            double difference = (far_log_prob[2 * k + 1][i] - far_log_prob[2 * k][i]) / (2.0 * h);
            CHECK_CLOSE(score[2 * i + k], difference, 1e-5);
        }
        double determinant = slope[0][0] * slope[1][1] - slope[0][1] * slope[1][0];
        CHECK_CLOSE(log_det[i], log(fabs(determinant)), 1e-6);
        CHECK_CLOSE(opposite[i], -log_det[i], 1e-12);
        double base = -(u[2 * i] * u[2 * i] + u[2 * i + 1] * u[2 * i + 1]) / 2.0 - log(2.0 * pi);
        CHECK_CLOSE(log_prob[i], base + log_det[i], 1e-12);
    }
}

/* The same numbers by any number of threads, from floats too, and nearly so in float32. */
static void test_dtypes_and_threads(const cf_flow *flow) {
    static float floats[ROWS * 2];
    static double rounded[ROWS * 2], one[ROWS], other[ROWS];
    cf_flow *single;
    for (size_t i = 0; i < ROWS * 2; i++)
        rounded[i] = floats[i] = (float)data[i];
    CHECK_OK(cf_set_num_threads(1));
    log_prob_of(flow, rounded, ROWS, one);
    CHECK_OK(cf_set_num_threads(3));
    CHECK(cf_num_threads() == 3 && cf_set_num_threads(0) == CF_INVALID && cf_num_threads() == 3);
    CHECK_OK(cf_flow_log_prob(flow, cf_floats(floats, ROWS, 2), cf_no_context(), other));
    CHECK(memcmp(one, other, sizeof one) == 0);
    CHECK_OK(cf_flow_copy(&single, flow, CF_FLOAT32));
    log_prob_of(single, rounded, ROWS, other);
    for (size_t i = 0; i < ROWS; i++)
        CHECK_CLOSE(other[i], one[i], 1e-4);
    cf_flow_free(single);
}

/* Standardisation acts in float64 on both sides of a flow of float32: nothing of a point that is
 * far out is lost. */
static void test_far_points(void) {
    const double shift = 1e9, u[4] = {0.25, -1.5, 3.0, 0.125};
    cf_spec *layer = new_spec("Affine");
    double x[4], back[4];
    cf_flow *flow;
    CHECK_OK(cf_spec_set_real(layer, "shift", shift));
    CHECK_OK(cf_spec_finish(layer));
    cf_flow_parts parts = {.layers = &layer, .layer_count = 1, .shape = cf_vector(2)};
    CHECK_OK(cf_flow_new(&flow, &parts));
    CHECK_OK(cf_flow_forward(flow, points_of(u, 2), cf_no_context(), x, NULL));
    CHECK_OK(cf_flow_inverse(flow, points_of(x, 2), cf_no_context(), back, NULL));
    for (int i = 0; i < 4; i++)
        CHECK(x[i] == u[i] + shift && back[i] == u[i]);
    cf_flow_free(flow);
    cf_spec_free(layer);
}

/* All tensors of a flow make another the same. */
static void test_tensors(const cf_flow *flow) {
    static double values[24 * 24], one[ROWS], other[ROWS];
    cf_flow *copy = new_flow(CF_FLOAT64, 99, 0);
    size_t count = cf_flow_tensor_count(flow), parameters = cf_flow_parameter_count(flow), dims;
    const size_t *shape;
    CHECK(count == parameters + 1 && cf_flow_tensor_count(copy) == count);
    CHECK(strcmp(cf_flow_tensor_name(flow, parameters), "layers.4.shift_scale") == 0);
    CHECK(strncmp(cf_flow_tensor_name(flow, 0), "layers.0.conditioner.", 21) == 0);
    dims = cf_flow_tensor_shape(flow, 0, &shape);
    CHECK(dims == 2 && shape[0] == 24 && shape[1] == 1 && cf_flow_tensor_size(flow, 0) == 24);
    log_prob_of(flow, data, ROWS, one);
    for (size_t i = 0; i < count; i++) {
        size_t size = cf_flow_tensor_size(flow, i);
        CHECK(size <= 24 * 24);
        CHECK_OK(cf_flow_get_tensor(flow, i, values, size));
        CHECK_OK(cf_flow_set_tensor(copy, i, values, size));
    }
    log_prob_of(copy, data, ROWS, other);
    CHECK(memcmp(one, other, sizeof one) == 0);
    CHECK(cf_flow_get_tensor(flow, count, values, 1) == CF_INVALID);
    CHECK(cf_flow_tensor_name(flow, count) == NULL && cf_flow_tensor_size(flow, count) == 0);
    CHECK(cf_flow_tensor_shape(flow, count, &shape) == 0 && shape == NULL);
    CHECK(cf_flow_set_tensor(copy, 0, values, 23) == CF_INVALID);
    CHECK(strstr(cf_message(), "has 24 numbers, got 23") != NULL);
    cf_flow_free(copy);
}

/* A context has a row a point, or one for all; the density depends on it. */
static void test_context(void) {
    double context[8] = {0.5, 0.5, 0.5, 0.5, 1.0, 2.0, 3.0, 4.0}, all[4], each[4], others[4];
    double fitted[8], x[8];
    cf_flow *flow = new_flow(CF_FLOAT64, 4, 1);
    cf_fit_options options = {.train = {points_of(data, 4), cf_doubles(context + 4, 4, 1), NULL},
                              .epochs = 5,
                              .ema = 0.5};
    cf_epoch_report report;
    cf_fit *running;
    CHECK(cf_flow_context_features(flow) == 1);
    CHECK_OK(cf_fit_new(&running, flow, &options));
    for (int i = 0; i < 5; i++)
        CHECK_OK(cf_fit_epoch(running, NULL, NULL, &report));
    cf_fit_free(running);
    CHECK_OK(cf_flow_log_prob(flow, points_of(data, 4), cf_doubles(context, 1, 1), all));
    CHECK_OK(cf_flow_log_prob(flow, points_of(data, 4), cf_doubles(context, 4, 1), each));
    CHECK_OK(cf_flow_log_prob(flow, points_of(data, 4), cf_doubles(context + 4, 4, 1), others));
    CHECK(memcmp(all, each, sizeof all) == 0 && memcmp(all, others, sizeof all) != 0);
    CHECK_OK(cf_flow_sample(flow, 4, cf_doubles(context, 1, 1), 0, 0, x, NULL));
    CHECK_OK(cf_flow_sample(flow, 4, cf_doubles(context, 4, 1), 0, 0, fitted, NULL));
    CHECK(memcmp(x, fitted, sizeof x) == 0);
    CHECK(cf_flow_log_prob(flow, points_of(data, 4), cf_no_context(), all) == CF_INVALID);
    CHECK(strstr(cf_message(), "needs a context of 1 columns, got none") != NULL);
    CHECK(cf_flow_log_prob(flow, points_of(data, 4), cf_doubles(context, 3, 1), all) == CF_INVALID);
    CHECK(strstr(cf_message(), "must have 4 rows, as the points, or 1, got 3") != NULL);
    cf_flow_free(flow);
}

int main(void) {
    cf_flow *flow = new_flow(CF_FLOAT64, 0, 0);
    CHECK_OK(cf_threads_check());
    CHECK_OK(cf_simd_check());
    CHECK(cf_flow_features(flow) == 2 && cf_flow_base_features(flow) == 2);
    draw_truth(data, ROWS, 5);
    draw_truth(held_out, HELD_OUT, 6);
    fit(flow);
    test_density(flow);
    test_quadrature_and_samples(flow);
    test_derivatives(flow);
    test_dtypes_and_threads(flow);
    test_tensors(flow);
    cf_flow_free(flow);
    flow = new_flow(CF_FLOAT32, 0, 0);
    fit(flow);
    test_density(flow);
    cf_flow_free(flow);
    test_far_points();
    test_context();
    return 0;
}
