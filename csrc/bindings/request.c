#include "bindings/request.h"

#include <string.h>

#include "base/pool.h"
#include "bindings/tensors.h"

/* ---- inputs ---- */

bool cf_py_request_begin(PyObject *self, const char *function, cf_py_request *out) {
    *out = (cf_py_request){.self = (cf_py_model *)self};
    cf_model *model = cf_py_model_of(self);
    if (model == NULL)
        return false;
    out->call.threads = cf_num_threads();
    out->call.function = cf_model_function(model, function);
    if (out->call.function == NULL)
        PyErr_Format(PyExc_ValueError, "the model has no function called '%.100s'", function);
    return out->call.function != NULL;
}

void cf_py_request_end(cf_py_request *r) {
    for (size_t i = 0; i < CF_MAX_PORTS; i++) {
        cf_py_release(&r->input[i]);
        cf_py_release(&r->cotangent[i]);
    }
}

static bool check_samples(cf_py_request *r, const cf_py_rows *rows, const char *name) {
    if (!r->counted)
        r->call.samples = rows->rows;
    r->counted = true;
    return cf_py_check_rows(rows, name, r->call.samples);
}

/* Whether it is an array of numbers, which has neither names nor labels. */
static bool is_of_numbers(PyObject *object) {
    return PyArray_CheckExact(object) &&
           strchr("biufc", PyArray_DESCR((PyArrayObject *)object)->kind) != NULL;
}

/* The columns of a table that the model knows by name, or the object itself: a new reference. */
static PyObject *by_name(const cf_py_request *r, const char *port, PyObject *object) {
    if (is_of_numbers(object))
        return Py_NewRef(object);
    return cf_py_call("cflows.names", "by_name", "OsO", r->self, port, object);
}

bool cf_py_request_input(cf_py_request *r, const char *input, const char *name, PyObject *object) {
    size_t i = cf_function_input(r->call.function, input);
    cf_py_rows *rows = &r->input[i];
    PyObject *chosen = strcmp(input, "x") == 0 ? by_name(r, input, object) : Py_NewRef(object);
    bool read =
        chosen != NULL && cf_py_read_rows(chosen, name, r->call.function->input[i].shape, rows);
    Py_XDECREF(chosen);
    if (!read)
        return false;
    r->call.input[i] = rows->view;
    return check_samples(r, rows, name);
}

/* One point with many contexts is as many samples. */
static void spread_point(cf_py_request *r, size_t rows) {
    r->call.input[0].row_stride = 0;
    r->call.samples = rows;
}

bool cf_py_request_context(cf_py_request *r, PyObject *object, cf_py_spread spread) {
    const cf_function *function = r->call.function;
    size_t i = cf_function_input(function, "context");
    cf_py_rows rows;
    PyObject *chosen = object == NULL ? NULL : by_name(r, "context", object);
    if (object != NULL && chosen == NULL)
        return false;
    bool read = cf_py_read_context(chosen, cf_function_input_features(function, "context"), &rows);
    Py_XDECREF(chosen);
    if (!read)
        return false;
    if (rows.array == NULL)
        return true;
    r->input[i] = rows;
    if (spread == CF_PY_SPREAD_EITHER && r->call.samples == 1 && rows.rows > 1)
        spread_point(r, rows.rows);
    if (spread != CF_PY_SPREAD_NONE && !cf_py_spread_context(&r->input[i], r->call.samples))
        return false;
    r->call.input[i] = r->input[i].view;
    return true;
}

bool cf_py_request_cotangent(cf_py_request *r, const char *output, const char *name,
                             PyObject *object) {
    size_t i = cf_function_output(r->call.function, output);
    cf_py_rows *rows = &r->cotangent[i];
    const cf_port *port = &r->call.function->output[i];
    if (object == NULL)
        return true;
    if (!(port->number ? cf_py_read_vector(object, name, rows)
                       : cf_py_read_rows(object, name, port->shape, rows)))
        return false;
    r->call.cotangent[i] = rows->view;
    return check_samples(r, rows, name);
}

bool cf_py_request_noise(cf_py_request *r, PyObject *seed, PyObject *start) {
    return (seed == NULL || cf_py_count(seed, "seed", UINT64_MAX, &r->call.seed)) &&
           (start == NULL || cf_py_count(start, "start", INT64_MAX, &r->call.first_sample));
}

bool cf_py_request_deterministic(cf_py_request *r, PyObject *mean) {
    int truth = mean == NULL ? 0 : PyObject_IsTrue(mean);
    r->call.deterministic = truth > 0;
    return truth >= 0;
}

/* ---- results ---- */

PyObject *cf_py_request_rows(const cf_py_request *r, const cf_port *port, int dims,
                             const npy_intp *shape, cf_result *result) {
    const cf_py_contents *contents = &r->self->contents;
    cf_dtype dtype = cf_model_dtype(contents->model);
    bool as_double =
        port->in_units && contents->flow != NULL && cf_flow_exceeds_float32(contents->flow);
    PyObject *array =
        PyArray_SimpleNew(dims, shape, as_double ? NPY_DOUBLE : cf_py_type_number(dtype));
    if (array != NULL)
        *result = (cf_result){.data = PyArray_DATA((PyArrayObject *)array),
                              .row_stride = cf_shape_features(port->shape),
                              .as_double = as_double};
    return array;
}

/* A new array of a row a sample: (n, ...), of single numbers (n,). */
static PyObject *new_rows(const cf_py_request *r, const cf_port *port, cf_result *result) {
    npy_intp dims[1 + CF_PY_MAX_DIMS] = {(npy_intp)r->call.samples};
    int count = 1 + (port->number ? 0 : cf_py_dims(port->shape, dims + 1));
    return cf_py_request_rows(r, port, count, dims, result);
}

PyObject *cf_py_request_output(cf_py_request *r, const char *name) {
    size_t i = cf_function_output(r->call.function, name);
    return new_rows(r, &r->call.function->output[i], &r->call.output[i]);
}

PyObject *cf_py_request_gradient(cf_py_request *r, const char *name) {
    size_t i = cf_function_input(r->call.function, name);
    return new_rows(r, &r->call.function->input[i], &r->call.gradient[i]);
}

PyObject *cf_py_request_slab(cf_py_request *r) {
    const cf_model *model = r->self->contents.model;
    npy_intp elements = (npy_intp)cf_model_parameter_table(model)->elements;
    PyObject *slab = PyArray_SimpleNew(1, &elements, cf_py_type_number(cf_model_dtype(model)));
    if (slab != NULL) {
        r->call.want_parameter_gradients = true;
        r->call.parameter_gradients = PyArray_DATA((PyArrayObject *)slab);
    }
    return slab;
}

PyObject *cf_py_request_tensors(const cf_py_request *r, PyObject *slab) {
    const cf_model *model = r->self->contents.model;
    return cf_py_tensors(cf_model_parameter_table(model), PyArray_DATA((PyArrayObject *)slab),
                         cf_py_type_number(cf_model_dtype(model)), slab);
}

bool cf_py_request_run(cf_py_request *r) {
    cf_model *model = r->self->contents.model;
    cf_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = cf_model_call(model, &r->call);
    Py_END_ALLOW_THREADS;
    if (status != CF_OK)
        cf_py_fail(r->self->state, status);
    return status == CF_OK;
}

PyObject *cf_py_pair(bool done, PyObject *a, PyObject *b) {
    PyObject *pair = done ? PyTuple_Pack(2, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return pair;
}
