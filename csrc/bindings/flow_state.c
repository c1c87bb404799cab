#include "bindings/flow_state.h"

#include "bindings/arguments.h"
#include "bindings/arrays.h"
#include "bindings/settings.h"
#include "bindings/spec.h"
#include "bindings/tensors.h"

/* ---- frozen parameters ---- */

static PyObject *freeze(PyObject *self, PyObject *pattern, bool frozen) {
    cf_flow *flow = cf_py_flow_of(self);
    if (flow == NULL)
        return NULL;
    if (!PyUnicode_Check(pattern)) {
        PyErr_Format(PyExc_TypeError, "the pattern must be a str, got %s",
                     Py_TYPE(pattern)->tp_name);
        return NULL;
    }
    const char *text = PyUnicode_AsUTF8(pattern);
    size_t count;
    if (text == NULL)
        return NULL;
    cf_status status = cf_flow_freeze(flow, text, frozen, &count);
    if (status != CF_OK)
        return cf_py_fail(((cf_py_flow *)self)->state, status);
    if (count == 0) {
        PyErr_Format(PyExc_ValueError,
                     "no parameter's name matches %R: names are the keys of flow.parameters",
                     pattern);
        return NULL;
    }
    return PyLong_FromSize_t(count);
}

PyObject *cf_py_flow_freeze(PyObject *self, PyObject *pattern) {
    return freeze(self, pattern, true);
}

PyObject *cf_py_flow_unfreeze(PyObject *self, PyObject *pattern) {
    return freeze(self, pattern, false);
}

PyObject *cf_py_flow_frozen(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    PyObject *list = flow == NULL ? NULL : PyList_New(0);
    const cf_slab_table *table = flow == NULL ? NULL : cf_flow_parameter_table(flow);
    for (size_t i = 0; list != NULL && i < table->count; i++) {
        if (!table->tensors[i].frozen)
            continue;
        PyObject *name = PyUnicode_FromString(table->tensors[i].name);
        if (name == NULL || PyList_Append(list, name) < 0)
            Py_CLEAR(list);
        Py_XDECREF(name);
    }
    PyObject *tuple = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

/* ---- copies ---- */

/* The attributes that a Python subclass has given the object; NULL, without an exception, if it
 * has no place for any. */
static PyObject *attributes_of(PyObject *self) {
    PyObject *dict = PyObject_GetAttrString(self, "__dict__");
    if (dict == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear();
    return dict;
}

static bool set_attributes(PyObject *self, PyObject *attributes) {
    PyObject *own = attributes_of(self);
    bool done = own == NULL ? !PyErr_Occurred() : PyDict_Update(own, attributes) == 0;
    Py_XDECREF(own);
    return done;
}

static bool copy_into(cf_py_flow *copy, PyObject *self, cf_dtype dtype) {
    cf_flow *flow;
    cf_status status = cf_flow_copy(&flow, ((cf_py_flow *)self)->flow, dtype);
    if (status != CF_OK) {
        cf_py_fail(copy->state, status);
        return false;
    }
    if (!cf_py_flow_adopt(copy, flow))
        return false;
    PyObject *attributes = attributes_of(self);
    bool done =
        attributes == NULL ? !PyErr_Occurred() : set_attributes((PyObject *)copy, attributes);
    Py_XDECREF(attributes);
    return done;
}

PyObject *cf_py_flow_astype(PyObject *self, PyObject *object) {
    cf_dtype dtype;
    if (cf_py_flow_of(self) == NULL || !cf_py_dtype(object, &dtype))
        return NULL;
    cf_py_flow *copy = (cf_py_flow *)Py_TYPE(self)->tp_alloc(Py_TYPE(self), 0);
    if (copy == NULL)
        return NULL;
    copy->state = ((cf_py_flow *)self)->state;
    if (!copy_into(copy, self, dtype))
        Py_CLEAR(copy);
    return (PyObject *)copy;
}

/* ---- pickles ---- */

/* A new array for a slab. */
static PyObject *new_slab(const cf_slab_table *table, int type_number) {
    npy_intp size = (npy_intp)table->elements;
    return PyArray_SimpleNew(1, &size, type_number);
}

PyObject *cf_py_flow_snapshot(PyObject *self, PyObject *unused) {
    const cf_flow *flow = cf_py_flow_of(self);
    (void)unused;
    if (flow == NULL)
        return NULL;
    int number = cf_py_type_number(cf_flow_dtype(flow));
    const cf_slab_table *tables[2] = {cf_flow_parameter_table(flow), cf_flow_buffer_table(flow)};
    PyObject *parameters = new_slab(tables[0], number), *buffers = new_slab(tables[1], NPY_DOUBLE);
    PyObject *result = NULL;
    if (parameters != NULL && buffers != NULL) {
        void *numbers[2] = {PyArray_DATA((PyArrayObject *)parameters),
                            PyArray_DATA((PyArrayObject *)buffers)};
        cf_status status = cf_flow_read(flow, numbers[0], numbers[1]);
        if (status != CF_OK)
            cf_py_fail(((cf_py_flow *)self)->state, status);
        else
            result = Py_BuildValue("(NN)", cf_py_tensors(tables[0], numbers[0], number, parameters),
                                   cf_py_tensors(tables[1], numbers[1], NPY_DOUBLE, buffers));
    }
    Py_XDECREF(parameters);
    Py_XDECREF(buffers);
    return result;
}

/* All that the flow is: a new dict. */
static PyObject *state_of(cf_py_flow *self) {
    const cf_module_state *state = self->state;
    const cf_flow *flow = self->flow;
    PyObject *numbers = cf_py_flow_snapshot((PyObject *)self, NULL);
    PyObject *attributes = numbers == NULL ? NULL : attributes_of((PyObject *)self);
    if (numbers == NULL)
        return NULL;
    if (attributes == NULL && !PyErr_Occurred())
        attributes = PyDict_New();
    /* N gives the references away, and fails where one is NULL. */
    PyObject *result = Py_BuildValue(
        "{sN sN sN sN sn ss sK sO sO sN sN}", "layers",
        cf_py_setting_value(state, cf_spec_get(cf_flow_chain(flow)->spec, "layers")), "base",
        cf_py_spec_wrap(state, cf_flow_base(flow)->spec), "embedding",
        cf_py_spec_wrap(state, cf_flow_embedding(flow)), "shape",
        cf_py_shape_tuple(cf_flow_shape(flow)), "context_features",
        (Py_ssize_t)cf_flow_context(flow), "dtype",
        cf_flow_dtype(flow) == CF_FLOAT32 ? "float32" : "float64", "seed",
        (unsigned long long)cf_flow_seed(flow), "parameters", PyTuple_GET_ITEM(numbers, 0),
        "buffers", PyTuple_GET_ITEM(numbers, 1), "frozen",
        cf_py_flow_frozen((PyObject *)self, NULL), "attributes", attributes);
    Py_DECREF(numbers);
    return result;
}

PyObject *cf_py_flow_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    if (cf_py_flow_of(self) == NULL)
        return NULL;
    return Py_BuildValue("O(O)N", ((cf_py_flow *)self)->state->new_object, Py_TYPE(self),
                         state_of((cf_py_flow *)self));
}

/* An entry of the state, borrowed; of the given type unless that is NULL. */
static PyObject *entry(PyObject *state, const char *name, PyTypeObject *type) {
    PyObject *value = PyDict_GetItemString(state, name);
    if (value == NULL) {
        PyErr_Format(PyExc_ValueError, "the state of a flow has no '%s'", name);
        return NULL;
    }
    if (type != NULL && !PyObject_TypeCheck(value, type)) {
        PyErr_Format(PyExc_TypeError, "'%s' must be a %s, got %s", name, type->tp_name,
                     Py_TYPE(value)->tp_name);
        return NULL;
    }
    return value;
}

/* Parameters that may be missing for the flow still to be built, so that the message names them. */
enum { LITTLE = 1 << 20 };

/* Elements of the slab that are worth building: about those that the state's parameters fill. */
static size_t given_elements(PyObject *state) {
    PyObject *parameters = PyDict_GetItemString(state, "parameters"), *name, *value;
    Py_ssize_t place = 0;
    size_t elements = 0;
    if (parameters == NULL || !PyDict_Check(parameters))
        return INT32_MAX; /* what is wrong is told when the flow is filled */
    while (PyDict_Next(parameters, &place, &name, &value))
        if (PyArray_Check(value))
            elements += ((size_t)PyArray_SIZE((PyArrayObject *)value) + 15) / 16 * 16;
    return elements + LITTLE;
}

static bool build(cf_py_flow *self, PyObject *state) {
    static const char *const names[] = {"layers",           "base",  "embedding", "shape",
                                        "context_features", "dtype", "seed"};
    enum { LAYERS, BASE, EMBEDDING, SHAPE, CONTEXT, DTYPE, SEED, ENTRIES };
    PyObject *given[ENTRIES];
    uint64_t context;
    cf_flow_parts parts = {.most_parameters = given_elements(state)};
    for (size_t i = 0; i < ENTRIES; i++)
        if ((given[i] = entry(state, names[i], NULL)) == NULL)
            return false;
    if (!cf_py_shape(given[SHAPE], names[SHAPE], &parts.shape) ||
        !cf_py_count(given[CONTEXT], names[CONTEXT], NPY_MAX_INTP, &context) ||
        !cf_py_dtype(given[DTYPE], &parts.dtype) ||
        !cf_py_seed(self->state, given[SEED], &parts.seed))
        return false;
    parts.context = (size_t)context;
    return cf_py_flow_build(self, given[LAYERS], given[BASE], given[EMBEDDING], parts);
}

static bool freeze_all(PyObject *self, PyObject *names) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *count = cf_py_flow_freeze(self, PyTuple_GET_ITEM(names, i));
        if (count == NULL)
            return false;
        Py_DECREF(count);
    }
    return true;
}

/* Fills a flow that has just been built. */
static bool fill(cf_py_flow *self, PyObject *state) {
    PyObject *parameters = entry(state, "parameters", NULL);
    PyObject *buffers = parameters == NULL ? NULL : entry(state, "buffers", NULL);
    PyObject *frozen = buffers == NULL ? NULL : entry(state, "frozen", &PyTuple_Type);
    PyObject *attributes = frozen == NULL ? NULL : entry(state, "attributes", &PyDict_Type);
    return attributes != NULL && cf_py_set_tensors(self->parameters, parameters, "parameters") &&
           cf_py_set_tensors(self->buffers, buffers, "buffers") &&
           freeze_all((PyObject *)self, frozen) && set_attributes((PyObject *)self, attributes);
}

PyObject *cf_py_flow_setstate(PyObject *self, PyObject *state) {
    cf_py_flow *flow = (cf_py_flow *)self;
    if (!PyDict_Check(state)) {
        PyErr_Format(PyExc_TypeError, "the state of a flow is a dict, got %s",
                     Py_TYPE(state)->tp_name);
        return NULL;
    }
    if (!build(flow, state))
        return NULL;
    if (!fill(flow, state)) {
        cf_py_flow_drop(flow);
        return NULL;
    }
    Py_RETURN_NONE;
}
