/* Gradients: the score and vector-Jacobian products. */
#include "bindings/request.h"
#include "bindings/tensors.h"

/* ---- the score ---- */

CF_PY_METHOD(cf_py_flow_grad_log_prob) {
    static const char *const names[] = {"x", "context", "return_log_prob", "seed", "start"};
    static const cf_py_signature signature = {"grad_log_prob", names, 5, 1};
    PyObject *given[5], *score = NULL, *log_prob = NULL;
    cf_py_request r;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given))
        return NULL;
    int wanted = given[2] == NULL ? 0 : PyObject_IsTrue(given[2]);
    bool done = cf_py_request_begin(self, "score", &r) &&
                cf_py_request_input(&r, "x", "x", given[0]) &&
                cf_py_request_context(&r, given[1], CF_PY_SPREAD_EITHER) && wanted >= 0 &&
                cf_py_request_noise(&r, given[3], given[4]) &&
                (score = cf_py_request_output(&r, "score")) != NULL &&
                (!wanted || (log_prob = cf_py_request_output(&r, "log_prob")) != NULL) &&
                cf_py_request_run(&r);
    cf_py_request_end(&r);
    if (wanted > 0)
        return cf_py_pair(done, score, log_prob);
    if (!done)
        Py_CLEAR(score);
    return score;
}

/* ---- vector-Jacobian products ---- */

enum { X, DU, DLOG_DET, CONTEXT, DIRECTION, PARAMETERS, SEED, START, VJP_ARGUMENTS };

static bool read_direction(PyObject *object, bool *forward) {
    bool inverse = object == NULL || (PyUnicode_Check(object) &&
                                      PyUnicode_CompareWithASCIIString(object, "inverse") == 0);
    *forward = object != NULL && PyUnicode_Check(object) &&
               PyUnicode_CompareWithASCIIString(object, "forward") == 0;
    if (!*forward && !inverse)
        PyErr_Format(PyExc_ValueError, "direction must be 'inverse' or 'forward', got %.100R",
                     object);
    return *forward || inverse;
}

/* The cotangents that the caller gives: at least one. */
static bool read_cotangents(cf_py_request *r, PyObject *const *given, const char *output) {
    if (given[DU] == NULL && given[DLOG_DET] == NULL) {
        PyErr_SetString(PyExc_ValueError, "vjp needs du, dlog_det or both, got neither");
        return false;
    }
    return cf_py_request_cotangent(r, output, "du", given[DU]) &&
           cf_py_request_cotangent(r, "log_det", "dlog_det", given[DLOG_DET]);
}

/* A new array for the cotangent of every row's context; None if there is no context. */
static PyObject *new_context_rows(cf_py_request *r) {
    if (r->input[cf_function_input(r->call.function, "context")].array == NULL)
        return Py_NewRef(Py_None);
    return cf_py_request_gradient(r, "context");
}

/* The cotangent of the context in the shape that was given: where it was one row for all, the sum
 * over all rows. Steals the reference to `rows`. */
static PyObject *gather_context(const cf_py_request *r, PyObject *rows) {
    const cf_py_rows *context = &r->input[cf_function_input(r->call.function, "context")];
    PyArrayObject *given = context->array;
    if (given == NULL || (PyArray_NDIM(given) == 2 && context->rows == r->call.samples))
        return rows;
    PyObject *sum = PyArray_Sum((PyArrayObject *)rows, 0, NPY_DOUBLE, NULL);
    PyObject *cast = sum == NULL
                         ? NULL
                         : PyArray_Cast((PyArrayObject *)sum, PyArray_TYPE((PyArrayObject *)rows));
    PyArray_Dims shape = {PyArray_DIMS(given), PyArray_NDIM(given)};
    PyObject *shaped =
        cast == NULL ? NULL : PyArray_Newshape((PyArrayObject *)cast, &shape, NPY_CORDER);
    Py_DECREF(rows);
    Py_XDECREF(sum);
    Py_XDECREF(cast);
    return shaped;
}

/* Cotangents(x, context, parameters); steals its references. */
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

static PyObject *compute_vjp(cf_py_request *r, const char *input, bool with_parameters) {
    PyObject *x = cf_py_request_gradient(r, input);
    PyObject *context = x == NULL ? NULL : new_context_rows(r);
    PyObject *slab = NULL, *result = NULL;
    if (context != NULL)
        slab = with_parameters ? cf_py_request_slab(r) : Py_NewRef(Py_None);
    if (slab != NULL && cf_py_request_run(r)) {
        PyObject *tensors = with_parameters ? cf_py_request_tensors(r, slab) : Py_NewRef(Py_None);
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
    cf_py_request r;
    bool forward;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given) ||
        !read_direction(given[DIRECTION], &forward))
        return NULL;
    int with_parameters = given[PARAMETERS] == NULL ? 1 : PyObject_IsTrue(given[PARAMETERS]);
    const char *input = forward ? "u" : "x", *output = forward ? "x" : "u";
    if (cf_py_request_begin(self, forward ? "forward" : "inverse", &r) &&
        cf_py_request_input(&r, input, "x", given[X]) &&
        cf_py_request_context(&r, given[CONTEXT], CF_PY_SPREAD_CONTEXT) && with_parameters >= 0 &&
        cf_py_request_noise(&r, given[SEED], given[START]) && read_cotangents(&r, given, output))
        result = compute_vjp(&r, input, with_parameters > 0);
    cf_py_request_end(&r);
    return result;
}
