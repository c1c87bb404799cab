/* Functions of a model by name: listing, adding and calling them. Methods of Model. */
#include "bindings/model_state.h"

#include "bindings/request.h"
#include "train/losses/losses.h"

/* ---- listing and adding ---- */

/* A tuple of (name, shape) of ports that must be given. */
static PyObject *port_tuple(const cf_port *ports) {
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < CF_MAX_PORTS; i++) {
        if (!cf_is_port(&ports[i]) || ports[i].optional)
            continue;
        PyObject *port = Py_BuildValue("(sN)", ports[i].name, cf_py_shape_tuple(ports[i].shape));
        if (port == NULL || PyList_Append(list, port) < 0)
            Py_CLEAR(list);
        Py_XDECREF(port);
    }
    PyObject *tuple = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

PyObject *cf_py_model_functions(PyObject *self, PyObject *unused) {
    const cf_model *model = cf_py_model_of(self);
    PyObject *dict = model == NULL ? NULL : PyDict_New();
    const cf_function *f = dict == NULL ? NULL : cf_model_earlier_function(model, NULL);
    (void)unused;
    for (; f != NULL && dict != NULL; f = cf_model_earlier_function(model, f)) {
        PyObject *ports = Py_BuildValue("(NN)", port_tuple(f->input), port_tuple(f->output));
        if (ports == NULL || PyDict_SetItemString(dict, f->name, ports) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(ports);
    }
    return dict;
}

PyObject *cf_py_model_add_function(PyObject *self, PyObject *args) {
    cf_model *model = cf_py_model_of(self);
    const cf_py_contents *contents = &((cf_py_model *)self)->contents;
    const char *text;
    PyObject *given;
    if (model == NULL || !PyArg_ParseTuple(args, "sO:_add_function", &text, &given))
        return NULL;
    PyArrayObject *numbers =
        (PyArrayObject *)PyArray_FROMANY(given, NPY_FLOAT64, 1, 1, NPY_ARRAY_IN_ARRAY);
    if (numbers == NULL)
        return NULL;
    const cf_declarations *declared = contents->traced ? &contents->traced->declared : NULL;
    cf_status status = contents->flow != NULL ? cf_add_losses(contents->flow) : CF_OK;
    if (status == CF_OK)
        status = cf_traced_add(model, declared, text, PyArray_DATA(numbers),
                               (size_t)PyArray_DIM(numbers, 0));
    Py_DECREF(numbers);
    if (status != CF_OK)
        return cf_py_fail(((cf_py_model *)self)->state, status);
    Py_RETURN_NONE;
}

/* ---- calls ---- */

/* Reads the inputs in the function's order: a row a sample, except that one row of the context may
 * stand for all. */
static bool read_inputs(cf_py_request *r, PyObject *inputs) {
    Py_ssize_t given = PyTuple_GET_SIZE(inputs);
    const cf_port *context = cf_function_input_port(r->call.function, "context");
    for (Py_ssize_t i = 0; i < CF_MAX_PORTS; i++) {
        const cf_port *port = &r->call.function->input[i];
        PyObject *object = i < given ? PyTuple_GET_ITEM(inputs, i) : Py_None;
        if (!cf_is_port(port) || (port->optional && object == Py_None))
            continue;
        if (port == context) {
            if (!cf_py_request_context(r, object == Py_None ? NULL : object, CF_PY_SPREAD_CONTEXT))
                return false;
        } else if (!cf_py_request_input(r, port->name, port->name, object)) {
            return false;
        }
    }
    return true;
}

/* A new tuple of new arrays for all outputs. */
static PyObject *new_outputs(cf_py_request *r) {
    size_t count = cf_port_count(r->call.function->output);
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *array = cf_py_request_output(r, r->call.function->output[i].name);
        if (array == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, array);
    }
    return tuple;
}

CF_PY_METHOD(cf_py_model_call) {
    static const char *const names[] = {"function", "inputs", "seed", "start", "mean"};
    static const cf_py_signature signature = {"_call", names, 5, 2};
    PyObject *given[5], *outputs = NULL;
    cf_py_request r;
    if (!cf_py_arguments(&signature, args, nargs, kwnames, given))
        return NULL;
    const char *function = PyUnicode_AsUTF8(given[0]);
    if (function == NULL || !PyTuple_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "_call takes a name and a tuple of inputs");
        return NULL;
    }
    bool done = cf_py_request_begin(self, function, &r) && read_inputs(&r, given[1]) &&
                cf_py_request_noise(&r, given[2], given[3]) &&
                cf_py_request_deterministic(&r, given[4]) && (outputs = new_outputs(&r)) != NULL &&
                cf_py_request_run(&r);
    cf_py_request_end(&r);
    if (!done)
        Py_CLEAR(outputs);
    return outputs;
}
