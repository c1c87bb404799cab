/* What a flow computes of the caller's arrays: calls of its functions. */
#include "api/matrix.h"
#include "base/pool.h"
#include "base/status.h"
#include "flow/flow.h"

static void want(cf_function_call *call, const char *name, double *result) {
    size_t port = cf_function_output(call->function, name);
    size_t features = cf_shape_features(call->function->output[port].shape);
    call->output[port] = (cf_result){.data = result, .row_stride = features, .as_double = true};
}

/* Of no points there is nothing to compute; their arrays may be NULL. */
static cf_status run(const cf_flow *flow, const cf_function_call *call) {
    return call->samples > 0 ? cf_model_call(flow->model, call) : CF_OK;
}

/* A function of points. */
typedef struct {
    const char *name, *input, *output[2];
} signature;

static cf_status compute(const cf_flow *flow, const signature *s, cf_matrix points,
                         cf_matrix context, double *first, double *second) {
    cf_function_call call = {.function = cf_model_function(flow->model, s->name),
                             .samples = points.rows,
                             .threads = cf_num_threads()};
    size_t input = cf_function_input(call.function, s->input);
    size_t columns = cf_shape_features(call.function->input[input].shape);
    cf_array seen;
    CF_TRY(cf_matrix_read(points, s->name, s->input, columns, &call.input[input]));
    CF_TRY(cf_context_read(context, s->name, cf_flow_context_features(flow), points.rows, &seen));
    if (seen.data != NULL)
        cf_call_set_input(&call, "context", seen);
    want(&call, s->output[0], first);
    if (s->output[1] != NULL)
        want(&call, s->output[1], second);
    return run(flow, &call);
}

cf_status cf_flow_log_prob(const cf_flow *flow, cf_matrix x, cf_matrix context, double *log_prob) {
    static const signature s = {"log_prob", "x", {"log_prob", NULL}};
    return compute(flow, &s, x, context, log_prob, NULL);
}

cf_status cf_flow_inverse(const cf_flow *flow, cf_matrix x, cf_matrix context, double *u,
                          double *log_det) {
    static const signature s = {"inverse", "x", {"u", "log_det"}};
    return compute(flow, &s, x, context, u, log_det);
}

cf_status cf_flow_forward(const cf_flow *flow, cf_matrix u, cf_matrix context, double *x,
                          double *log_det) {
    static const signature s = {"forward", "u", {"x", "log_det"}};
    return compute(flow, &s, u, context, x, log_det);
}

cf_status cf_flow_score(const cf_flow *flow, cf_matrix x, cf_matrix context, double *score,
                        double *log_prob) {
    static const signature s = {"score", "x", {"score", "log_prob"}};
    return compute(flow, &s, x, context, score, log_prob);
}

cf_status cf_flow_sample(const cf_flow *flow, size_t n, cf_matrix context, uint64_t seed,
                         uint64_t first, double *x, double *log_prob) {
    cf_function_call call = {.function = cf_model_function(flow->model, "sample"),
                             .samples = n,
                             .threads = cf_num_threads(),
                             .seed = seed,
                             .first_sample = first};
    cf_array seen;
    if (log_prob != NULL)
        CF_TRY(cf_flow_check_density(flow));
    CF_TRY(cf_context_read(context, "sample", cf_flow_context_features(flow), n, &seen));
    if (seen.data != NULL)
        cf_call_set_input(&call, "context", seen);
    want(&call, "x", x);
    want(&call, "log_prob", log_prob);
    return run(flow, &call);
}
