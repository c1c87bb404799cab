/* What the library's users may do wrong: each has a status and a message, and changes nothing. */
#include <cflows.h>
#include <string.h>

#include "check.h"

enum { ROWS = 10 };

static double data[ROWS * 2];

#define CHECK_FAILS(call, status, words)                                                           \
    do {                                                                                           \
        CHECK((call) == (status));                                                                 \
        if (strstr(cf_message(), words) == NULL) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, cf_message());                      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static cf_spec *new_spec(const char *type) {
    cf_spec *spec;
    CHECK_OK(cf_spec_new_named(&spec, type));
    return spec;
}

static cf_spec *new_finished(const char *type) {
    cf_spec *spec = new_spec(type);
    CHECK_OK(cf_spec_finish(spec));
    return spec;
}

static cf_flow *new_flow(const char *type) {
    cf_spec *layer = new_finished(type);
    cf_flow_parts parts = {
        .layers = &layer, .layer_count = 1, .shape = cf_vector(2), .dtype = CF_FLOAT64};
    cf_flow *flow;
    CHECK_OK(cf_flow_new(&flow, &parts));
    cf_spec_free(layer);
    return flow;
}

static void test_nothing_is_freed(void) {
    cf_spec_free(NULL);
    cf_flow_free(NULL);
    cf_fit_free(NULL);
}

static void test_specs(void) {
    cf_spec *spec, *net = new_spec("MLP"), *none = NULL, *chain = new_spec("Chain");
    CHECK_FAILS(cf_spec_new_named(&spec, "Copling"), CF_INVALID, "no type called 'Copling'");
    CHECK(spec == NULL);
    spec = new_spec("Coupling");
    CHECK_FAILS(cf_spec_set_real(spec, "musk", 1.0), CF_INVALID, "no option 'musk'");
    CHECK_FAILS(cf_spec_set_real(spec, "mask", 1.0), CF_TYPE, "mask must be a string or");
    CHECK_FAILS(cf_spec_set_string(spec, "mask", "hlf"), CF_INVALID, "'half', 'alternating'");
    CHECK_FAILS(cf_spec_set_string(spec, "mask", NULL), CF_TYPE, "got None");
    CHECK_FAILS(cf_spec_set_spec(spec, "conditioner", net), CF_INVALID, "MLP must be finished");
    CHECK_OK(cf_spec_finish(net));
    CHECK_FAILS(cf_spec_set_int(net, "hidden", 3), CF_INVALID, "before the spec is finished");
    CHECK_OK(cf_spec_set_spec(spec, "conditioner", net));
    CHECK_OK(cf_spec_set_spec(spec, "conditioner", NULL));
    CHECK_FAILS(cf_spec_set_spec(spec, "transform", net), CF_TYPE, "MLP, which is a conditioner");
    CHECK_FAILS(cf_spec_set_specs(chain, "layers", &none, 1), CF_INVALID, "has NULL at 0");
    CHECK_FAILS(cf_spec_set_specs(chain, "layers", &spec, 1), CF_INVALID, "must be finished");
    cf_spec_free(spec);
    spec = new_spec("Permutation");
    CHECK_OK(cf_spec_set_ints(spec, "indices", (const int64_t[]){0, 1, 1}, 3));
    CHECK_FAILS(cf_spec_finish(spec), CF_INVALID, "repeated");
    CHECK_OK(cf_spec_set_ints(spec, "indices", (const int64_t[]){0, 2, 1}, 3));
    CHECK_OK(cf_spec_finish(spec));
    CHECK_OK(cf_spec_finish(spec));
    cf_spec_free(spec);
    cf_spec_free(net);
    cf_spec_free(chain);
}

static void test_flows(void) {
    cf_spec *layers[2] = {new_finished("Coupling"), NULL}, *open = new_spec("Normal");
    cf_flow_parts good = {.layers = layers, .layer_count = 1, .shape = cf_vector(2)}, bad = good;
    cf_flow *flow;
    bad.layer_count = 2;
    CHECK_FAILS(cf_flow_new(&flow, &bad), CF_INVALID, "has NULL at 1");
    CHECK(flow == NULL);
    bad = good;
    bad.shape = cf_vector(0);
    CHECK_FAILS(cf_flow_new(&flow, &bad), CF_INVALID, "features must be from 1");
    bad = good;
    bad.dtype = (cf_dtype)2;
    CHECK_FAILS(cf_flow_new(&flow, &bad), CF_INVALID, "dtype must be");
    bad = good;
    bad.base = layers[0];
    CHECK_FAILS(cf_flow_new(&flow, &bad), CF_TYPE, "Coupling, which is a layer");
    bad.base = open;
    CHECK_FAILS(cf_flow_new(&flow, &bad), CF_INVALID, "Normal must be finished");
    bad = good;
    bad.max_parameters = 10;
    CHECK_FAILS(cf_flow_new(&flow, &bad), CF_INVALID, "10");
    cf_spec_free(layers[0]);
    cf_spec_free(open);
}

static void test_computations(void) {
    cf_flow *flow = new_flow("Coupling"), *noisy = new_flow("Dequantize");
    cf_matrix x = cf_doubles(data, 5, 2), narrow = cf_doubles(data, 5, 1), odd = x, none = x;
    double log_prob[5], samples[10];
    odd.dtype = (cf_dtype)7;
    none.data = NULL;
    CHECK_FAILS(cf_flow_log_prob(flow, narrow, cf_no_context(), log_prob), CF_INVALID,
                "log_prob: x must have 2 columns, got 1");
    CHECK_FAILS(cf_flow_inverse(flow, odd, cf_no_context(), samples, NULL), CF_INVALID, "got 7");
    CHECK_FAILS(cf_flow_score(flow, none, cf_no_context(), samples, NULL), CF_INVALID,
                "x of 5 rows is NULL");
    CHECK_FAILS(cf_flow_forward(flow, x, x, samples, NULL), CF_INVALID,
                "forward: the flow has no context, got one of 2 columns");
    CHECK_FAILS(cf_flow_sample(noisy, 5, cf_no_context(), 0, 0, samples, log_prob), CF_INVALID,
                "stochastic");
    CHECK_OK(cf_flow_sample(noisy, 5, cf_no_context(), 0, 0, samples, NULL));
    CHECK_OK(cf_flow_log_prob(flow, cf_doubles(NULL, 0, 2), cf_no_context(), NULL));
    CHECK_OK(cf_flow_log_prob(flow, x, cf_no_context(), NULL));
    cf_flow_free(flow);
    cf_flow_free(noisy);
}

/* A row that is NaN is NaN, and the others are as they were; log_prob is -inf outside of the domain
 * of a layer, and where the base has density 0. */
static void test_bad_rows(void) {
    double x[6] = {1.0, 2.0, NAN, 0.0, 0.5, 0.5}, log_prob[3], alone;
    cf_flow *flow = new_flow("Coupling"), *positive = new_flow("Exp"), *uniform;
    cf_flow_parts parts = {.base = new_finished("Uniform"), .shape = cf_vector(2)};
    CHECK_OK(cf_flow_new(&uniform, &parts));
    cf_spec_free(parts.base);
    CHECK_OK(cf_flow_log_prob(flow, cf_doubles(x, 3, 2), cf_no_context(), log_prob));
    CHECK_OK(cf_flow_log_prob(flow, cf_doubles(x + 4, 1, 2), cf_no_context(), &alone));
    CHECK(isnan(log_prob[1]) && isfinite(log_prob[0]) && log_prob[2] == alone);
    x[2] = -1.0;
    CHECK_OK(cf_flow_log_prob(positive, cf_doubles(x, 3, 2), cf_no_context(), log_prob));
    CHECK(log_prob[1] == -INFINITY && isfinite(log_prob[0]));
    CHECK_OK(cf_flow_log_prob(uniform, cf_doubles(x, 3, 2), cf_no_context(), log_prob));
    CHECK(log_prob[1] == -INFINITY && log_prob[2] == 0.0);
    cf_flow_free(uniform);
    cf_flow_free(flow);
    cf_flow_free(positive);
}

static void expect_refusal(cf_flow *flow, const cf_fit_options *options, cf_status status,
                           const char *words) {
    cf_fit *fit;
    CHECK_FAILS(cf_fit_new(&fit, flow, options), status, words);
    CHECK(fit == NULL);
}

static void test_fits(void) {
    const double below[ROWS] = {1.0, 1.0, -1.0};
    cf_flow *flow = new_flow("Coupling");
    cf_spec *layer = new_finished("Exp"), *open = new_spec("SGD");
    const cf_fit_options good = {.train = {.x = cf_doubles(data, ROWS, 2)}, .epochs = 1};
    cf_fit_options bad = good;
    data[7] = NAN;
    expect_refusal(flow, &good, CF_INVALID, "training data: row 3 holds nan in column 1");
    data[7] = 0.5;
    bad.validation.x = cf_doubles(data, 0, 2);
    expect_refusal(flow, &bad, CF_INVALID, "validation data: no rows");
    bad = good;
    bad.train.weights = below;
    expect_refusal(flow, &bad, CF_INVALID, "the weight of row 2 is -1");
    bad = good;
    bad.train.x.columns = 3;
    expect_refusal(flow, &bad, CF_INVALID, "training data: x must have 2 columns, got 3");
    bad = good;
    bad.train.x = cf_doubles(NULL, 0, 2);
    expect_refusal(flow, &bad, CF_INVALID, "training data: no rows");
    bad = good;
    bad.epochs = 0;
    expect_refusal(flow, &bad, CF_INVALID, "epochs must be 1 or more");
    bad = good;
    bad.batch_size = 11;
    expect_refusal(flow, &bad, CF_INVALID, "from 1 to the 10 rows");
    bad = good;
    bad.patience = 1;
    expect_refusal(flow, &bad, CF_INVALID, "patience needs validation");
    bad = good;
    bad.optimizer = layer;
    expect_refusal(flow, &bad, CF_TYPE, "role optimizer, got Exp");
    bad.optimizer = open;
    expect_refusal(flow, &bad, CF_INVALID, "SGD must be finished");
    bad = good;
    bad.schedule = layer;
    expect_refusal(flow, &bad, CF_TYPE, "role schedule, got Exp");
    cf_flow_free(flow);
    cf_spec_free(layer);
    cf_spec_free(open);
}

static bool stop(void *asked, const cf_epoch_report *so_far, uint64_t rows) {
    *(uint64_t *)asked += so_far->epoch + rows;
    return true;
}

/* Fits that do not come to their end give the flow back. */
static void test_fits_that_end_early(void) {
    double log_prob;
    const double far[4] = {1.0, 1.0, -1.0, 1.0};
    cf_flow *flow = new_flow("Exp");
    cf_fit_options options = {.train = {.x = cf_doubles(far, 2, 2)}, .epochs = 100};
    cf_epoch_report report;
    cf_fit *fit;
    CHECK_OK(cf_fit_new(&fit, flow, &options));
    CHECK_FAILS(cf_fit_epoch(fit, NULL, NULL, &report), CF_INVALID, "row 1 has log_prob -inf");
    CHECK_FAILS(cf_fit_epoch(fit, NULL, NULL, &report), CF_INVALID, "the fit is over");
    CHECK_FAILS(cf_flow_log_prob(flow, options.train.x, cf_no_context(), NULL), CF_BUSY, "fitted");
    cf_fit_free(fit);
    CHECK_OK(cf_flow_log_prob(flow, cf_doubles(far, 1, 2), cf_no_context(), &log_prob));
    CHECK_OK(cf_fit_new(&fit, flow,
                        &(cf_fit_options){.train = {.x = cf_doubles(far, 1, 2)}, .epochs = 3}));
    cf_fit_free(fit);
    CHECK_OK(cf_flow_log_prob(flow, cf_doubles(far, 1, 2), cf_no_context(), &log_prob));
    cf_flow_free(flow);
}

/* An epoch is asked every 100 ms whether it is to stop. */
static void test_interruption(void) {
    enum { MANY = 200000 };
    double *x = calloc(MANY * 2, sizeof *x);
    uint64_t asked = 0;
    cf_flow *flow = new_flow("Coupling");
    cf_epoch_report report;
    cf_fit *fit;
    CHECK(x != NULL);
    cf_fit_options options = {
        .train = {.x = cf_doubles(x, MANY, 2)}, .epochs = 1000, .batch_size = 2};
    CHECK_OK(cf_fit_new(&fit, flow, &options));
    CHECK_OK(cf_fit_epoch(fit, stop, &asked, &report));
    CHECK(asked > 0 && report.stop == CF_STOP_INTERRUPTED);
    CHECK_FAILS(cf_fit_epoch(fit, stop, &asked, &report), CF_INVALID, "the fit is over");
    cf_fit_free(fit);
    cf_flow_free(flow);
    free(x);
}

int main(void) {
    for (int i = 0; i < ROWS * 2; i++)
        data[i] = i / 7.0;
    test_nothing_is_freed();
    test_specs();
    test_flows();
    test_computations();
    test_bad_rows();
    test_fits();
    test_fits_that_end_early();
    test_interruption();
    return 0;
}
