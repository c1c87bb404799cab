/* The mean of a loss over rows, with its gradient. */
#include "bindings/request.h"

#include <math.h>

#include "base/memory.h"
#include "train/data.h"
#include "train/losses/losses.h"

/* What the mean of a loss needs beside the request. */
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

/* out[k] = w / sum(w), the cotangent of the loss, of the k-th row with a weight above 0, which is
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
        out[k] /= sum;
    return CF_OK;
}

/* Leaves out rows of weight 0: they may lie where the loss has neither value nor gradient. */
static void keep_rows(cf_function_call *call, const int64_t *index, size_t kept) {
    if (kept == call->samples)
        return;
    call->samples = kept;
    for (size_t i = 0; i < CF_MAX_PORTS; i++)
        if (call->input[i].data != NULL)
            call->input[i].index = index;
}

/* Computes the loss and the gradients, into the request's slab and then the model's. */
static cf_status compute_loss(cf_model *model, cf_function_call *call, loss_request *loss) {
    cf_dtype dtype = cf_model_dtype(model);
    double *cotangents;
    void *losses = NULL;
    size_t kept;
    CF_TRY(cf_alloc(&cotangents, call->samples, sizeof *cotangents + sizeof(int64_t)));
    int64_t *index = (int64_t *)(cotangents + call->samples);
    cf_status status = fill_cotangents(loss, call->samples, cotangents, index, &kept);
    if (status == CF_OK)
        keep_rows(call, index, kept);
    if (status == CF_OK)
        status = cf_alloc(&losses, call->samples, cf_dtype_size(dtype));
    if (status == CF_OK) {
        cf_call_set_output(call, "loss", (cf_result){losses, 1});
        cf_call_set_cotangent(call, "loss", cf_double_rows(cotangents, 1));
        status = cf_model_call(model, call);
    }
    if (status == CF_OK)
        status = cf_model_set_gradients(model, call->parameter_gradients);
    if (status == CF_OK)
        loss->loss = cf_mean_loss(cotangents, losses, call->samples, dtype);
    cf_free(cotangents);
    cf_free(losses);
    return status;
}

static bool run_loss(cf_py_request *r, loss_request *loss) {
    cf_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = compute_loss(r->self->contents.model, &r->call, loss);
    Py_END_ALLOW_THREADS;
    if (status != CF_OK)
        cf_py_fail(r->self->state, status);
    return status == CF_OK;
}

/* The name of the model's loss, which a flow is given when it is first asked for. */
static const char *loss_name(PyObject *self) {
    const cf_py_model *object = (cf_py_model *)self;
    const cf_function *loss;
    if (cf_py_model_of(self) == NULL)
        return NULL;
    const cf_flow *flow = object->contents.flow;
    cf_status status =
        cf_find_loss(object->contents.model, flow, flow == NULL ? "loss" : "likelihood", &loss);
    if (status != CF_OK)
        cf_py_fail(object->state, status);
    return status == CF_OK ? loss->name : NULL;
}

CF_PY_METHOD(cf_py_model_loss_and_grad) {
    static const char *const names[] = {"x", "context", "weights", "seed", "start"};
    static const cf_py_signature signature = {"loss_and_grad", names, 5, 1};
    PyObject *given[5], *slab = NULL, *result = NULL;
    loss_request loss = {0};
    cf_py_request r;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given))
        return NULL;
    const char *name = loss_name(self);
    if (name == NULL)
        return NULL;
    bool done = cf_py_request_begin(self, name, &r) &&
                cf_py_request_input(&r, "x", "x", given[0]) &&
                cf_py_request_context(&r, given[1], CF_PY_SPREAD_CONTEXT) &&
                cf_py_request_noise(&r, given[3], given[4]) &&
                (given[2] == NULL || cf_py_read_vector(given[2], "weights", &loss.weights)) &&
                cf_py_check_rows(&loss.weights, "weights", r.call.samples) &&
                (slab = cf_py_request_slab(&r)) != NULL && run_loss(&r, &loss);
    if (done)
        result = Py_BuildValue("dN", loss.loss, cf_py_request_tensors(&r, slab));
    Py_XDECREF(slab);
    cf_py_release(&loss.weights);
    cf_py_request_end(&r);
    return result;
}
