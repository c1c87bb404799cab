/* What a flow computes: methods of Flow. */
#include "bindings/request.h"

/* ---- maps and density ---- */

/* A map from the input `from` to the output `to`, with its log_det. */
static PyObject *map(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                     const cf_py_signature *signature, const char *to) {
    PyObject *given[5], *log_det = NULL, *value = NULL;
    cf_py_request r;
    if (!cf_py_arguments(signature, args, nargs, kwnames, given))
        return NULL;
    bool done = cf_py_request_begin(self, signature->function, &r) &&
                cf_py_request_input(&r, signature->names[0], signature->names[0], given[0]) &&
                cf_py_request_context(&r, given[1], CF_PY_SPREAD_EITHER) &&
                cf_py_request_noise(&r, given[2], given[3]) &&
                cf_py_request_deterministic(&r, given[4]) &&
                (value = cf_py_request_output(&r, to)) != NULL &&
                (log_det = cf_py_request_output(&r, "log_det")) != NULL && cf_py_request_run(&r);
    cf_py_request_end(&r);
    return cf_py_pair(done, value, log_det);
}

CF_PY_METHOD(cf_py_flow_forward) {
    static const char *const names[] = {"u", "context", "seed", "start", "mean"};
    static const cf_py_signature signature = {"forward", names, 5, 1};
    return map(self, args, nargs, kwnames, &signature, "x");
}

CF_PY_METHOD(cf_py_flow_inverse) {
    static const char *const names[] = {"x", "context", "seed", "start", "mean"};
    static const cf_py_signature signature = {"inverse", names, 5, 1};
    return map(self, args, nargs, kwnames, &signature, "u");
}

CF_PY_METHOD(cf_py_flow_log_prob) {
    static const char *const names[] = {"x", "context", "seed", "start"};
    static const cf_py_signature signature = {"log_prob", names, 4, 1};
    PyObject *given[4], *log_prob = NULL;
    cf_py_request r;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given))
        return NULL;
    bool done = cf_py_request_begin(self, "log_prob", &r) &&
                cf_py_request_input(&r, "x", "x", given[0]) &&
                cf_py_request_context(&r, given[1], CF_PY_SPREAD_EITHER) &&
                cf_py_request_noise(&r, given[2], given[3]) &&
                (log_prob = cf_py_request_output(&r, "log_prob")) != NULL && cf_py_request_run(&r);
    cf_py_request_end(&r);
    if (!done)
        Py_CLEAR(log_prob);
    return log_prob;
}

/* ---- sampling ---- */

/* How many samples of how many contexts, and the shape that they have. */
typedef struct {
    npy_intp shape[2 + CF_PY_MAX_DIMS];
    int leading, dims; /* without those of a sample; with them */
} sample_shape;

/* One context row, or none, gives n samples; m rows give n each. */
static bool read_shape(cf_py_request *r, uint64_t n, sample_shape *out) {
    size_t port = cf_function_input(r->call.function, "context");
    const cf_py_rows *context = &r->input[port];
    bool one = context->array == NULL || context->rows == 1;
    size_t contexts = one ? 1 : context->rows;
    size_t bytes = sizeof(double) * cf_shape_features(r->self->contents.flow->shape);
    uint64_t most = (uint64_t)NPY_MAX_INTP / bytes / (contexts > 0 ? contexts : 1);
    if (contexts > 0 && n > most) {
        char each[64] = "";
        if (contexts > 1)
            PyOS_snprintf(each, sizeof each, " for each of %zu contexts", contexts);
        PyErr_Format(PyExc_ValueError, "n must be at most %llu%s, got %llu",
                     (unsigned long long)most, each, (unsigned long long)n);
        return false;
    }
    r->call.samples = contexts * (size_t)n;
    if (one) {
        r->call.input[port].row_stride = 0;
        *out = (sample_shape){{(npy_intp)n}, 1, 1};
    } else {
        r->call.input[port].repeat = (size_t)n;
        *out = (sample_shape){{(npy_intp)contexts, (npy_intp)n}, 2, 2};
    }
    out->dims += cf_py_dims(r->self->contents.flow->shape, out->shape + out->leading);
    return true;
}

/* Reads the arguments n, context, seed and start. */
static bool begin_sampling(PyObject *self, PyObject *const *given, cf_py_request *r,
                           sample_shape *shape) {
    uint64_t n;
    return cf_py_request_begin(self, "sample", r) && cf_py_count(given[0], "n", NPY_MAX_INTP, &n) &&
           cf_py_request_context(r, given[1], CF_PY_SPREAD_NONE) &&
           cf_py_seed(r->self->state, given[2], &r->call.seed) &&
           cf_py_request_noise(r, NULL, given[3]) && read_shape(r, n, shape);
}

/* A new array for an output of the samples. */
static PyObject *new_samples(cf_py_request *r, const char *name, int dims, const npy_intp *shape) {
    size_t i = cf_function_output(r->call.function, name);
    return cf_py_request_rows(r, &r->call.function->output[i], dims, shape, &r->call.output[i]);
}

static PyObject *draw(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                      const char *function, bool with_log_prob) {
    static const char *const names[] = {"n", "context", "seed", "start"};
    cf_py_signature signature = {function, names, 4, 1};
    PyObject *given[4], *x = NULL, *log_prob = NULL;
    sample_shape shape;
    cf_py_request r;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given))
        return NULL;
    bool done = begin_sampling(self, given, &r, &shape);
    if (done && with_log_prob) {
        cf_status status = cf_flow_check_density(r.self->contents.flow);
        if (status != CF_OK)
            cf_py_fail(r.self->state, status);
        done = status == CF_OK;
    }
    if (done)
        x = new_samples(&r, "x", shape.dims, shape.shape);
    if (x != NULL && with_log_prob)
        log_prob = new_samples(&r, "log_prob", shape.leading, shape.shape);
    done = x != NULL && (log_prob != NULL || !with_log_prob) && cf_py_request_run(&r);
    cf_py_request_end(&r);
    if (with_log_prob)
        return cf_py_pair(done, x, log_prob);
    if (!done)
        Py_CLEAR(x);
    return x;
}

CF_PY_METHOD(cf_py_flow_sample) {
    return draw(self, args, nargs, kwnames, "sample", false);
}

CF_PY_METHOD(cf_py_flow_sample_and_log_prob) {
    return draw(self, args, nargs, kwnames, "sample_and_log_prob", true);
}
