/* Gradients: the score, vector-Jacobian products, the loss. */
#include "bindings/flow_calls.h"
#include "bindings/tensors.h"

#include <math.h>

#include "base/memory.h"
#include "train/data.h"

/* ---- results ---- */

/* A new slab for the parameters' gradients, which the request then computes. */
static PyObject *new_slab(cf_py_request *request) {
    const cf_flow *flow = request->self->flow;
    npy_intp elements = (npy_intp)cf_flow_parameter_table(flow)->elements;
    PyObject *slab = PyArray_SimpleNew(1, &elements, cf_py_type_number(cf_flow_dtype(flow)));
    if (slab != NULL) {
        request->call.want_gradients = true;
        request->call.gradients = PyArray_DATA((PyArrayObject *)slab);
    }
    return slab;
}

/* A dict of views on the slab. */
static PyObject *slab_tensors(const cf_py_request *request, PyObject *slab) {
    const cf_flow *flow = request->self->flow;
    return cf_py_tensors(cf_flow_parameter_table(flow), PyArray_DATA((PyArrayObject *)slab),
                         cf_py_type_number(cf_flow_dtype(flow)), slab);
}

/* A new array for the cotangent of every row's context; None if there is no context. */
static PyObject *new_context_rows(cf_py_request *request) {
    const cf_flow *flow = request->self->flow;
    npy_intp shape[2] = {(npy_intp)request->call.rows, (npy_intp)cf_flow_context(flow)};
    if (request->context.array == NULL)
        return Py_NewRef(Py_None);
    return cf_py_new_rows(cf_flow_dtype(flow), 2, shape, cf_flow_context(flow),
                          &request->call.dcontext);
}

/* The cotangent of the context as it was given: where it was one row for all, the sum over all
 * rows. Gives the reference to `rows` away. */
static PyObject *gather_context(const cf_py_request *request, PyObject *rows) {
    PyArrayObject *context = request->context.array;
    bool row_by_row = context == NULL ||
                      (PyArray_NDIM(context) == 2 && request->context.rows == request->call.rows);
    if (row_by_row)
        return rows;
    PyObject *sum = PyArray_Sum((PyArrayObject *)rows, 0, NPY_DOUBLE, NULL);
    PyObject *cast = sum == NULL
                         ? NULL
                         : PyArray_Cast((PyArrayObject *)sum, PyArray_TYPE((PyArrayObject *)rows));
    PyArray_Dims shape = {PyArray_DIMS(context), PyArray_NDIM(context)};
    PyObject *shaped =
        cast == NULL ? NULL : PyArray_Newshape((PyArrayObject *)cast, &shape, NPY_CORDER);
    Py_DECREF(rows);
    Py_XDECREF(sum);
    Py_XDECREF(cast);
    return shaped;
}

/* ---- the score ---- */

CF_PY_METHOD(cf_py_flow_grad_log_prob) {
    static const char *const names[] = {"x", "context", "return_log_prob", "seed", "start"};
    static const cf_py_signature signature = {"grad_log_prob", names, 5, 1};
    PyObject *given[5], *score = NULL, *log_prob = NULL;
    cf_py_request r;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given))
        return NULL;
    int wanted = given[2] == NULL ? 0 : PyObject_IsTrue(given[2]);
    bool done = cf_py_request_begin(self, given[0], "x", CF_PY_X, given[1], &r) && wanted >= 0 &&
                cf_py_request_noise(&r, given[3], given[4]) &&
                (score = cf_py_request_values(&r, CF_PY_X, &r.call.dx)) != NULL &&
                (!wanted || (log_prob = cf_py_request_numbers(&r, &r.call.log_det)) != NULL) &&
                cf_py_request_run(&r, cf_flow_log_prob);
    cf_py_request_end(&r);
    if (wanted > 0)
        return cf_py_pair(done, score, log_prob);
    if (!done)
        Py_CLEAR(score);
    return score;
}

/* ---- vector-Jacobian products ---- */

enum { X, DU, DLOG_DET, CONTEXT, DIRECTION, PARAMETERS, SEED, START, VJP_ARGUMENTS };

static bool read_direction(PyObject *object, cf_py_side *side) {
    bool forward = object != NULL && PyUnicode_Check(object) &&
                   PyUnicode_CompareWithASCIIString(object, "forward") == 0;
    bool inverse = object == NULL || (PyUnicode_Check(object) &&
                                      PyUnicode_CompareWithASCIIString(object, "inverse") == 0);
    *side = forward ? CF_PY_U : CF_PY_X;
    if (!forward && !inverse)
        PyErr_Format(PyExc_ValueError, "direction must be 'inverse' or 'forward', got %.100R",
                     object);
    return forward || inverse;
}

/* The cotangents that the caller gives, of which there must be one. */
static bool read_cotangents(cf_py_request *r, PyObject *const *given, cf_py_side side,
                            cf_py_rows *du, cf_py_rows *dlog_det) {
    if (given[DU] == NULL && given[DLOG_DET] == NULL) {
        PyErr_SetString(PyExc_ValueError, "vjp needs du, dlog_det or both, got neither");
        return false;
    }
    cf_shape shape = cf_py_shape_at(r->self->flow, cf_py_other(side));
    if (given[DU] != NULL && !cf_py_read_rows(given[DU], "du", shape, du))
        return false;
    if (given[DLOG_DET] != NULL && !cf_py_read_vector(given[DLOG_DET], "dlog_det", dlog_det))
        return false;
    r->call.dvalue = du->view;
    r->call.dlog_det = dlog_det->view;
    return cf_py_check_rows(du, "du", r->call.rows) &&
           cf_py_check_rows(dlog_det, "dlog_det", r->call.rows);
}

/* Cotangents(x, context, parameters); gives its references away. */
static PyObject *new_cotangents(const cf_py_request *r, PyObject *x, PyObject *context,
                                PyObject *parameters) {
    PyObject *result = NULL;
    if (context != NULL && parameters != NULL)
        result =
            PyObject_CallFunctionObjArgs(r->self->state->cotangents, x, context, parameters, NULL);
    Py_DECREF(x);
    Py_XDECREF(context);
    Py_XDECREF(parameters);
    return result;
}

static PyObject *compute_vjp(cf_py_request *r, cf_py_side side, bool with_parameters) {
    PyObject *x = cf_py_request_values(r, side, &r->call.dx);
    PyObject *context = x == NULL ? NULL : new_context_rows(r);
    PyObject *slab = context == NULL ? NULL : with_parameters ? new_slab(r) : Py_NewRef(Py_None);
    PyObject *result = NULL;
    if (slab != NULL &&
        cf_py_request_run(r, side == CF_PY_U ? cf_flow_forward_vjp : cf_flow_inverse_vjp)) {
        PyObject *tensors = with_parameters ? slab_tensors(r, slab) : Py_NewRef(Py_None);
        result = new_cotangents(r, x, gather_context(r, context), tensors);
    } else {
        Py_XDECREF(x);
        Py_XDECREF(context);
    }
    Py_XDECREF(slab);
    return result;
}

CF_PY_METHOD(cf_py_flow_vjp) {
    static const char *const names[] = {"x",         "du",         "dlog_det", "context",
                                        "direction", "parameters", "seed",     "start"};
    static const cf_py_signature signature = {"vjp", names, VJP_ARGUMENTS, 1};
    PyObject *given[VJP_ARGUMENTS], *result = NULL;
    cf_py_rows du = {0}, dlog_det = {0};
    cf_py_request r;
    cf_py_side side;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given) ||
        !read_direction(given[DIRECTION], &side))
        return NULL;
    int with_parameters = given[PARAMETERS] == NULL ? 1 : PyObject_IsTrue(given[PARAMETERS]);
    if (cf_py_request_begin(self, given[X], "x", side, given[CONTEXT], &r) &&
        with_parameters >= 0 && cf_py_request_noise(&r, given[SEED], given[START]) &&
        read_cotangents(&r, given, side, &du, &dlog_det))
        result = compute_vjp(&r, side, with_parameters > 0);
    cf_py_request_end(&r);
    cf_py_release(&du);
    cf_py_release(&dlog_det);
    return result;
}

/* ---- the loss ---- */

/* What the mean negative log-likelihood needs beside the request. */
typedef struct {
    cf_py_rows weights; /* none: all 1 */
    double loss;
} loss_request;

static double weight_of(const loss_request *loss, size_t row) {
    if (loss->weights.array == NULL)
        return 1.0;
    const cf_array *view = &loss->weights.view;
    return cf_read_element((const char *)view->data + (ptrdiff_t)row * view->row_stride, view);
}

/* out[k] = -w / sum(w), the cotangent of log_prob, of the k-th row with a weight above 0, which is
 * index[k]; *kept tells how many there are. */
static cf_status fill_cotangents(const loss_request *loss, size_t rows, double *out, int64_t *index,
                                 size_t *kept) {
    double sum = 0.0;
    *kept = 0;
    if (rows == 0)
        return cf_fail(CF_INVALID, "a mean over rows needs at least 1 row, got 0");
    for (size_t i = 0; i < rows; i++) {
        double w = weight_of(loss, i);
        if (!(w >= 0.0 && w < HUGE_VAL))
            return cf_fail(CF_INVALID, "weights must be finite and not negative, got %g in row %zu",
                           w, i);
        sum += w;
        if (w == 0.0)
            continue;
        index[*kept] = (int64_t)i;
        out[(*kept)++] = w;
    }
    CF_TRY(cf_check_total_weight(sum, "weights"));
    for (size_t k = 0; k < *kept; k++)
        out[k] /= -sum;
    return CF_OK;
}

/* Leaves out rows of weight 0: they may lie where the flow has neither density nor gradient. */
static void keep_rows(cf_flow_call *call, const int64_t *index, size_t kept) {
    if (kept == call->rows)
        return;
    call->rows = kept;
    call->x.index = index;
    if (call->context.data != NULL)
        call->context.index = index;
}

/* The sum of cotangent times log_prob. */
static double weighted_sum(const double *cotangents, const void *log_prob, cf_dtype dtype,
                           size_t rows) {
    double sum = 0.0;
    for (size_t i = 0; i < rows; i++)
        sum += cotangents[i] * cf_number_at(log_prob, i, dtype);
    return sum;
}

/* Computes the loss and the gradients, into the request's slab and then the flow's. */
static cf_status compute_loss(cf_flow *flow, cf_flow_call *call, loss_request *loss) {
    double *cotangents;
    void *log_prob = NULL;
    size_t kept;
    CF_TRY(cf_alloc(&cotangents, call->rows, sizeof *cotangents + sizeof(int64_t)));
    int64_t *index = (int64_t *)(cotangents + call->rows);
    cf_status status = fill_cotangents(loss, call->rows, cotangents, index, &kept);
    if (status == CF_OK)
        keep_rows(call, index, kept);
    if (status == CF_OK)
        status = cf_alloc(&log_prob, call->rows, cf_dtype_size(cf_flow_dtype(flow)));
    if (status == CF_OK) {
        call->log_det = (cf_result){.data = log_prob, .row_stride = 1};
        call->dlog_det =
            (cf_array){.data = cotangents, .element = CF_DOUBLE, .row_stride = sizeof *cotangents};
        status = cf_flow_log_prob_vjp(flow, call);
    }
    if (status == CF_OK)
        status = cf_flow_set_gradients(flow, call->gradients);
    if (status == CF_OK)
        loss->loss = weighted_sum(cotangents, log_prob, cf_flow_dtype(flow), call->rows);
    cf_free(cotangents);
    cf_free(log_prob);
    return status;
}

static bool run_loss(cf_py_request *r, loss_request *loss) {
    cf_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = compute_loss(r->self->flow, &r->call, loss);
    Py_END_ALLOW_THREADS;
    if (status != CF_OK)
        cf_py_fail(r->self->state, status);
    return status == CF_OK;
}

CF_PY_METHOD(cf_py_flow_loss_and_grad) {
    static const char *const names[] = {"x", "context", "weights", "seed", "start"};
    static const cf_py_signature signature = {"loss_and_grad", names, 5, 1};
    PyObject *given[5], *slab = NULL, *result = NULL;
    loss_request loss = {0};
    cf_py_request r;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given))
        return NULL;
    bool done = cf_py_request_begin(self, given[0], "x", CF_PY_X, given[1], &r) &&
                cf_py_request_noise(&r, given[3], given[4]) &&
                (given[2] == NULL || cf_py_read_vector(given[2], "weights", &loss.weights)) &&
                cf_py_check_rows(&loss.weights, "weights", r.call.rows) &&
                (slab = new_slab(&r)) != NULL && run_loss(&r, &loss);
    if (done)
        result = Py_BuildValue("dN", loss.loss, slab_tensors(&r, slab));
    Py_XDECREF(slab);
    cf_py_release(&loss.weights);
    cf_py_request_end(&r);
    return result;
}
