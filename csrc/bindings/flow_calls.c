#include "bindings/flow_calls.h"

#include "base/pool.h"

cf_shape cf_py_shape_at(const cf_flow *flow, cf_py_side side) {
    return side == CF_PY_X ? cf_flow_shape(flow) : cf_flow_base_shape(flow);
}

bool cf_py_request_begin(PyObject *self, PyObject *x, const char *name, cf_py_side side,
                         PyObject *context, cf_py_request *out) {
    *out = (cf_py_request){.self = (cf_py_flow *)self};
    cf_flow *flow = cf_py_flow_of(self);
    if (flow == NULL || !cf_py_read_rows(x, name, cf_py_shape_at(flow, side), &out->x) ||
        !cf_py_read_context(context, cf_flow_context(flow), &out->context) ||
        !cf_py_spread_context(&out->context, out->x.rows))
        return false;
    out->call = (cf_flow_call){.rows = out->x.rows,
                               .threads = cf_num_threads(),
                               .x = out->x.view,
                               .context = out->context.view};
    return true;
}

void cf_py_request_end(cf_py_request *request) {
    cf_py_release(&request->x);
    cf_py_release(&request->context);
}

bool cf_py_request_noise(cf_py_request *request, PyObject *seed, PyObject *start) {
    return (seed == NULL || cf_py_count(seed, "seed", UINT64_MAX, &request->call.seed)) &&
           (start == NULL || cf_py_count(start, "start", INT64_MAX, &request->call.first_row));
}

bool cf_py_request_run(cf_py_request *request,
                       cf_status (*compute)(cf_flow *, const cf_flow_call *)) {
    cf_flow *flow = request->self->flow;
    cf_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = compute(flow, &request->call);
    Py_END_ALLOW_THREADS;
    if (status != CF_OK)
        cf_py_fail(request->self->state, status);
    return status == CF_OK;
}

PyObject *cf_py_request_values(const cf_py_request *request, cf_py_side side, cf_result *result) {
    const cf_flow *flow = request->self->flow;
    cf_shape shape = cf_py_shape_at(flow, side);
    npy_intp dims[1 + CF_PY_MAX_DIMS] = {(npy_intp)request->call.rows};
    return cf_py_new_rows(cf_flow_dtype(flow), 1 + cf_py_dims(shape, dims + 1), dims,
                          cf_shape_features(shape), result);
}

PyObject *cf_py_request_numbers(const cf_py_request *request, cf_result *result) {
    npy_intp shape = (npy_intp)request->call.rows;
    return cf_py_new_rows(cf_flow_dtype(request->self->flow), 1, &shape, 1, result);
}

PyObject *cf_py_pair(bool done, PyObject *a, PyObject *b) {
    PyObject *pair = done ? PyTuple_Pack(2, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return pair;
}

/* ---- maps and density ---- */

static bool read_mean(PyObject *object, bool *out) {
    int mean = object == NULL ? 0 : PyObject_IsTrue(object);
    *out = mean > 0;
    return mean >= 0;
}

static PyObject *map(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                     const cf_py_signature *signature, cf_py_side side,
                     cf_status (*compute)(cf_flow *, const cf_flow_call *)) {
    PyObject *given[5], *log_det = NULL, *value = NULL;
    cf_py_request r;
    if (!cf_py_arguments(signature, args, nargs, kwnames, given))
        return NULL;
    bool done = cf_py_request_begin(self, given[0], signature->names[0], side, given[1], &r) &&
                cf_py_request_noise(&r, given[2], given[3]) && read_mean(given[4], &r.call.means) &&
                (value = cf_py_request_values(&r, cf_py_other(side), &r.call.value)) != NULL &&
                (log_det = cf_py_request_numbers(&r, &r.call.log_det)) != NULL &&
                cf_py_request_run(&r, compute);
    cf_py_request_end(&r);
    return cf_py_pair(done, value, log_det);
}

CF_PY_METHOD(cf_py_flow_forward) {
    static const char *const names[] = {"u", "context", "seed", "start", "mean"};
    static const cf_py_signature signature = {"forward", names, 5, 1};
    return map(self, args, nargs, kwnames, &signature, CF_PY_U, cf_flow_forward);
}

CF_PY_METHOD(cf_py_flow_inverse) {
    static const char *const names[] = {"x", "context", "seed", "start", "mean"};
    static const cf_py_signature signature = {"inverse", names, 5, 1};
    return map(self, args, nargs, kwnames, &signature, CF_PY_X, cf_flow_inverse);
}

CF_PY_METHOD(cf_py_flow_log_prob) {
    static const char *const names[] = {"x", "context", "seed", "start"};
    static const cf_py_signature signature = {"log_prob", names, 4, 1};
    PyObject *given[4], *log_prob = NULL;
    cf_py_request r;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given))
        return NULL;
    bool done = cf_py_request_begin(self, given[0], "x", CF_PY_X, given[1], &r) &&
                cf_py_request_noise(&r, given[2], given[3]) &&
                (log_prob = cf_py_request_numbers(&r, &r.call.log_det)) != NULL &&
                cf_py_request_run(&r, cf_flow_log_prob);
    cf_py_request_end(&r);
    if (!done)
        Py_CLEAR(log_prob);
    return log_prob;
}

/* ---- sampling ---- */

/* How many samples of how many contexts, and the shape that they have. */
typedef struct {
    npy_intp shape[2 + CF_PY_MAX_DIMS];
    int leading, dims; /* before those of a sample; with them */
} sample_shape;

/* One context row, or none, gives n samples; m rows give n each. */
static bool take_shape(cf_py_request *r, uint64_t n, sample_shape *out) {
    bool one = r->context.array == NULL || r->context.rows == 1;
    size_t contexts = one ? 1 : r->context.rows;
    if (contexts > 0 && n > (uint64_t)NPY_MAX_INTP / contexts) {
        PyErr_Format(PyExc_ValueError, "%zu times n = %llu samples are too many", contexts,
                     (unsigned long long)n);
        return false;
    }
    r->call.rows = contexts * (size_t)n;
    r->call.context = r->context.view;
    if (one) {
        r->call.context.row_stride = 0;
        *out = (sample_shape){{(npy_intp)n}, 1, 1};
    } else {
        r->call.context.repeat = (size_t)n;
        *out = (sample_shape){{(npy_intp)contexts, (npy_intp)n}, 2, 2};
    }
    out->dims += cf_py_dims(cf_flow_shape(r->self->flow), out->shape + out->leading);
    return true;
}

/* Reads the arguments n, context, seed and start. */
static bool begin_sampling(PyObject *self, PyObject *const *given, cf_py_request *out,
                           sample_shape *shape) {
    *out = (cf_py_request){.self = (cf_py_flow *)self};
    uint64_t n, start = 0, seed;
    cf_flow *flow = cf_py_flow_of(self);
    if (flow == NULL || !cf_py_count(given[0], "n", NPY_MAX_INTP, &n) ||
        !cf_py_read_context(given[1], cf_flow_context(flow), &out->context) ||
        !cf_py_seed(out->self->state, given[2], &seed) ||
        (given[3] != NULL && !cf_py_count(given[3], "start", INT64_MAX, &start)))
        return false;
    out->call = (cf_flow_call){.threads = cf_num_threads(), .seed = seed, .first_row = start};
    return take_shape(out, n, shape);
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
    cf_dtype dtype = done ? cf_flow_dtype(r.self->flow) : CF_FLOAT32;
    if (done)
        x = cf_py_new_rows(dtype, shape.dims, shape.shape, cf_flow_features(r.self->flow),
                           &r.call.value);
    if (x != NULL && with_log_prob)
        log_prob = cf_py_new_rows(dtype, shape.leading, shape.shape, 1, &r.call.log_det);
    done =
        x != NULL && (log_prob != NULL || !with_log_prob) && cf_py_request_run(&r, cf_flow_sample);
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
