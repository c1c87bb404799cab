#include "bindings/model_state.h"

#include "base/memory.h"
#include "bindings/arguments.h"
#include "bindings/arrays.h"
#include "bindings/settings.h"
#include "bindings/spec.h"
#include "bindings/tensors.h"

/* ---- frozen parameters ---- */

static PyObject *freeze(PyObject *self, PyObject *pattern, bool frozen) {
    cf_model *model = cf_py_model_of(self);
    if (model == NULL)
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
    cf_status status = cf_model_freeze(model, text, frozen, &count);
    if (status != CF_OK)
        return cf_py_fail(((cf_py_model *)self)->state, status);
    if (count == 0) {
        PyErr_Format(PyExc_ValueError,
                     "no parameter's name matches %R: names are the keys of flow.parameters",
                     pattern);
        return NULL;
    }
    return PyLong_FromSize_t(count);
}

PyObject *cf_py_model_freeze(PyObject *self, PyObject *pattern) {
    return freeze(self, pattern, true);
}

PyObject *cf_py_model_unfreeze(PyObject *self, PyObject *pattern) {
    return freeze(self, pattern, false);
}

static PyObject *frozen_names(const cf_slab_table *table, const bool *frozen) {
    Py_ssize_t count = 0, at = 0;
    for (size_t i = 0; i < table->count; i++)
        count += frozen[i];
    PyObject *tuple = PyTuple_New(count);
    for (size_t i = 0; tuple != NULL && i < table->count; i++) {
        if (!frozen[i])
            continue;
        PyObject *name = PyUnicode_FromString(table->tensors[i].name);
        if (name == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, at++, name);
    }
    return tuple;
}

PyObject *cf_py_model_frozen(PyObject *self, void *closure) {
    const cf_model *model = cf_py_model_of(self);
    bool *frozen;
    (void)closure;
    if (model == NULL)
        return NULL;
    const cf_slab_table *table = cf_model_parameter_table(model);
    cf_status status = cf_alloc(&frozen, table->count, sizeof *frozen);
    if (status != CF_OK)
        return cf_py_fail(((cf_py_model *)self)->state, status);
    cf_model_read_frozen(model, frozen);
    PyObject *tuple = frozen_names(table, frozen);
    cf_free(frozen);
    return tuple;
}

/* ---- copies ---- */

/* The attributes that a Python subclass has given the object; NULL, without an exception, if it
 * cannot have any. */
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

/* The contents of a copy in another dtype. */
static bool copy_contents(const cf_py_model *self, cf_dtype dtype, cf_py_contents *out) {
    const cf_py_contents *from = &self->contents;
    cf_flow *flow = NULL;
    cf_traced *traced = NULL;
    cf_status status;
    if (from->flow != NULL) {
        status = cf_flow_copy(&flow, from->flow, dtype);
    } else {
        status = cf_traced_new(&traced, from->traced->spec, dtype, cf_model_seed(from->model), 0);
        if (status == CF_OK)
            status = cf_model_copy_numbers(traced->model, from->model);
        if (status != CF_OK && traced != NULL)
            cf_model_free(traced->model);
    }
    if (status != CF_OK) {
        cf_py_fail(self->state, status);
        return false;
    }
    return cf_py_contents_new(flow != NULL ? flow->model : traced->model, flow, traced, out);
}

static bool copy_attributes(PyObject *to, PyObject *from) {
    PyObject *attributes = attributes_of(from);
    bool done = attributes == NULL ? !PyErr_Occurred() : set_attributes(to, attributes);
    Py_XDECREF(attributes);
    return done;
}

PyObject *cf_py_model_astype(PyObject *self, PyObject *object) {
    cf_py_contents contents;
    cf_dtype dtype;
    if (cf_py_model_of(self) == NULL || !cf_py_dtype(object, &dtype) ||
        !copy_contents((cf_py_model *)self, dtype, &contents))
        return NULL;
    cf_py_model *copy = (cf_py_model *)Py_TYPE(self)->tp_alloc(Py_TYPE(self), 0);
    if (copy == NULL) {
        cf_py_contents_free(&contents);
        return NULL;
    }
    copy->state = ((cf_py_model *)self)->state;
    copy->contents = contents;
    if (!copy_attributes((PyObject *)copy, self))
        Py_CLEAR(copy);
    return (PyObject *)copy;
}

/* ---- out ---- */

/* A new array for a slab. */
static PyObject *new_slab(const cf_slab_table *table, int type_number) {
    npy_intp size = (npy_intp)table->elements;
    return PyArray_SimpleNew(1, &size, type_number);
}

PyObject *cf_py_model_snapshot(PyObject *self, PyObject *unused) {
    const cf_model *model = cf_py_model_of(self);
    (void)unused;
    if (model == NULL)
        return NULL;
    int number = cf_py_type_number(cf_model_dtype(model));
    const cf_slab_table *tables[2] = {cf_model_parameter_table(model),
                                      cf_model_buffer_table(model)};
    PyObject *parameters = new_slab(tables[0], number), *buffers = new_slab(tables[1], NPY_DOUBLE);
    PyObject *result = NULL;
    if (parameters != NULL && buffers != NULL) {
        void *numbers[2] = {PyArray_DATA((PyArrayObject *)parameters),
                            PyArray_DATA((PyArrayObject *)buffers)};
        cf_status status = cf_model_read(model, numbers[0], numbers[1]);
        if (status != CF_OK)
            cf_py_fail(((cf_py_model *)self)->state, status);
        else
            result = Py_BuildValue("(NN)", cf_py_tensors(tables[0], numbers[0], number, parameters),
                                   cf_py_tensors(tables[1], numbers[1], NPY_DOUBLE, buffers));
    }
    Py_XDECREF(parameters);
    Py_XDECREF(buffers);
    return result;
}

/* What tells one architecture from another: a new dict. N steals references, and fails if one is
 * NULL. */
static PyObject *architecture_of(const cf_py_model *self) {
    const cf_module_state *state = self->state;
    const cf_flow *flow = self->contents.flow;
    if (flow == NULL)
        return Py_BuildValue("{sN}", "module", cf_py_spec_wrap(state, self->contents.traced->spec));
    return Py_BuildValue("{sN sN sN sN sn sO}", "layers",
                         cf_py_setting_value(state, cf_spec_get(flow->chain.spec, "layers")),
                         "base", cf_py_spec_wrap(state, flow->base.spec), "embedding",
                         cf_py_spec_wrap(state, flow->embedding.spec), "shape",
                         cf_py_shape_tuple(flow->shape), "context_features",
                         (Py_ssize_t)cf_flow_context_features(flow), "standardize_context",
                         flow->context_map != NULL ? Py_True : Py_False);
}

/* The whole model: a new dict. */
static PyObject *state_of(cf_py_model *self) {
    const cf_model *model = self->contents.model;
    PyObject *numbers = cf_py_model_snapshot((PyObject *)self, NULL);
    PyObject *attributes = numbers == NULL ? NULL : attributes_of((PyObject *)self);
    if (numbers == NULL)
        return NULL;
    if (attributes == NULL && !PyErr_Occurred())
        attributes = PyDict_New();
    PyObject *result = architecture_of(self);
    PyObject *rest = Py_BuildValue(
        "{ss sK sO sO sN sN}", "dtype", cf_model_dtype(model) == CF_FLOAT32 ? "float32" : "float64",
        "seed", (unsigned long long)cf_model_seed(model), "parameters",
        PyTuple_GET_ITEM(numbers, 0), "buffers", PyTuple_GET_ITEM(numbers, 1), "frozen",
        cf_py_model_frozen((PyObject *)self, NULL), "attributes", attributes);
    if (rest == NULL || (result != NULL && PyDict_Update(result, rest) < 0))
        Py_CLEAR(result);
    Py_XDECREF(rest);
    Py_DECREF(numbers);
    return result;
}

PyObject *cf_py_model_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    if (cf_py_model_of(self) == NULL)
        return NULL;
    return Py_BuildValue("O(O)N", ((cf_py_model *)self)->state->new_object, Py_TYPE(self),
                         state_of((cf_py_model *)self));
}

/* ---- in ---- */

/* An entry of the state, borrowed; of the given type unless that is NULL. */
static PyObject *entry(PyObject *state, const char *name, PyTypeObject *type) {
    PyObject *value = cf_py_entry(state, name, "the state of a flow");
    if (value != NULL && type != NULL && !PyObject_TypeCheck(value, type)) {
        PyErr_Format(PyExc_TypeError, "'%s' must be a %s, got %s", name, type->tp_name,
                     Py_TYPE(value)->tp_name);
        return NULL;
    }
    return value;
}

/* Parameters that may be missing for the model still to be built, so that the message names them.
 */
enum { LITTLE = 1 << 20 };

/* Elements of the slab that are worth building: about those that the state's parameters fill. */
static size_t given_elements(PyObject *parameters) {
    PyObject *name, *value;
    Py_ssize_t position = 0;
    size_t elements = 0;
    if (!PyDict_Check(parameters))
        return INT32_MAX;
    while (PyDict_Next(parameters, &position, &name, &value))
        if (PyArray_Check(value))
            elements += ((size_t)PyArray_SIZE((PyArrayObject *)value) + 15) / 16 * 16;
    return elements + LITTLE;
}

static bool build_flow(const cf_module_state *module, PyObject *state, cf_flow_parts parts,
                       cf_py_contents *out) {
    static const char *const names[] = {
        "layers", "base", "embedding", "shape", "context_features", "standardize_context"};
    enum { LAYERS, BASE, EMBEDDING, SHAPE, CONTEXT, STANDARDIZE, ENTRIES };
    PyObject *given[ENTRIES];
    uint64_t context;
    for (size_t i = 0; i < ENTRIES; i++)
        if ((given[i] = entry(state, names[i], i == STANDARDIZE ? &PyBool_Type : NULL)) == NULL)
            return false;
    if (!cf_py_shape(given[SHAPE], names[SHAPE], &parts.shape) ||
        !cf_py_count(given[CONTEXT], names[CONTEXT], NPY_MAX_INTP, &context))
        return false;
    parts.context_features = (size_t)context;
    parts.raw_context = given[STANDARDIZE] == Py_False;
    return cf_py_flow_build(module, given[LAYERS], given[BASE], given[EMBEDDING], parts, out);
}

static bool build_traced(const cf_module_state *module, PyObject *state, cf_flow_parts parts,
                         cf_py_contents *out) {
    PyObject *object = entry(state, "module", module->spec);
    cf_traced *traced;
    if (object == NULL)
        return false;
    cf_status status = cf_traced_new(&traced, cf_py_spec_get(module, object), parts.dtype,
                                     parts.seed, parts.max_parameters);
    if (status != CF_OK)
        return cf_py_fail(module, status) != NULL;
    return cf_py_contents_new(traced->model, NULL, traced, out);
}

static bool build(const cf_py_model *self, PyObject *state, PyObject *parameters,
                  cf_py_contents *out) {
    cf_flow_parts parts = {.max_parameters = given_elements(parameters)};
    PyObject *dtype = entry(state, "dtype", NULL);
    PyObject *seed = dtype == NULL ? NULL : entry(state, "seed", NULL);
    if (seed == NULL || !cf_py_dtype(dtype, &parts.dtype) ||
        !cf_py_seed(self->state, seed, &parts.seed))
        return false;
    bool flow = PyObject_TypeCheck((PyObject *)self, self->state->flow);
    return flow ? build_flow(self->state, state, parts, out)
                : build_traced(self->state, state, parts, out);
}

static bool freeze_all(const cf_module_state *module, cf_model *model, PyObject *names) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
        size_t count = 0;
        if (text == NULL && PyErr_Occurred())
            return false;
        cf_status status = text == NULL ? CF_OK : cf_model_freeze(model, text, true, &count);
        if (status != CF_OK)
            return cf_py_fail(module, status) != NULL;
        if (count == 0) {
            PyErr_Format(PyExc_ValueError, "no parameter's name matches %R", name);
            return false;
        }
    }
    return true;
}

/* A copy of a dict, which nobody else can change; any other object itself, since what is wrong with
 * it is reported when it is read. */
static PyObject *copied(PyObject *given) {
    return PyDict_Check(given) ? PyDict_Copy(given) : Py_NewRef(given);
}

/* Fills what has just been built. */
static bool fill(PyObject *self, PyObject *state, PyObject *parameters,
                 const cf_py_contents *contents) {
    PyObject *given = entry(state, "buffers", NULL);
    PyObject *frozen = given == NULL ? NULL : entry(state, "frozen", &PyTuple_Type);
    PyObject *attributes = frozen == NULL ? NULL : entry(state, "attributes", &PyDict_Type);
    PyObject *buffers = attributes == NULL ? NULL : copied(given);
    bool done = buffers != NULL &&
                cf_py_set_tensors(contents->parameters, parameters, "parameters") &&
                cf_py_set_tensors(contents->buffers, buffers, "buffers") &&
                freeze_all(((cf_py_model *)self)->state, contents->model, frozen) &&
                set_attributes(self, attributes);
    Py_XDECREF(buffers);
    return done;
}

/* Other threads see the model only when it is complete. */
static bool restore(PyObject *self, PyObject *state, PyObject *parameters) {
    cf_py_model *object = (cf_py_model *)self;
    cf_py_contents contents;
    if (!build(object, state, parameters, &contents))
        return false;
    if (fill(self, state, parameters, &contents))
        return cf_py_model_publish(object, &contents);
    cf_py_contents_free(&contents);
    return false;
}

PyObject *cf_py_model_setstate(PyObject *self, PyObject *given) {
    if (!PyDict_Check(given)) {
        PyErr_Format(PyExc_TypeError, "the state of a flow is a dict, got %s",
                     Py_TYPE(given)->tp_name);
        return NULL;
    }
    if (((cf_py_model *)self)->contents.model != NULL)
        return cf_py_fail_initialised(self);
    /* Copies, which nobody else can change. */
    PyObject *state = PyDict_Copy(given);
    PyObject *entries = state == NULL ? NULL : entry(state, "parameters", NULL);
    PyObject *parameters = entries == NULL ? NULL : copied(entries);
    bool done = parameters != NULL && restore(self, state, parameters);
    Py_XDECREF(parameters);
    Py_XDECREF(state);
    return done ? Py_NewRef(Py_None) : NULL;
}
