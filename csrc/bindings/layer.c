#include "bindings/layer.h"

#include "base/memory.h"
#include "bindings/arrays.h"
#include "bindings/spec.h"
#include "layers/permutation.h"

typedef struct {
    PyObject ob_base;
    const cf_module_state *state;
    PyObject *owner; /* keeps the flow in memory */
    const cf_layer *layer;
} layer_object;

static const layer_object *object_of(PyObject *self) {
    return (const layer_object *)self;
}

static PyObject *new_layer(const cf_module_state *state, PyObject *owner, const cf_layer *layer) {
    bool permutation = cf_spec_type_of(layer->spec) == &cf_permutation_type;
    PyTypeObject *class = permutation ? state->permutation : state->layer;
    layer_object *self = (layer_object *)class->tp_alloc(class, 0);
    if (self == NULL)
        return NULL;
    self->state = state;
    self->owner = Py_NewRef(owner);
    self->layer = layer;
    return (PyObject *)self;
}

PyObject *cf_py_bound_layers(const cf_module_state *state, PyObject *owner, const cf_layer *layer) {
    PyObject *tuple = PyTuple_New((Py_ssize_t)layer->children);
    for (size_t i = 0; tuple != NULL && i < layer->children; i++) {
        PyObject *child = new_layer(state, owner, &layer->child[i]);
        if (child == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, child);
    }
    return tuple;
}

/* The owner is a capsule, which refers to no Python object: there are no cycles to collect. */
static void layer_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    Py_DECREF(object_of(self)->owner);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *get_spec(PyObject *self, void *closure) {
    (void)closure;
    return cf_py_spec_wrap(object_of(self)->state, object_of(self)->layer->spec);
}

static PyObject *get_type(PyObject *self, void *closure) {
    (void)closure;
    return PyUnicode_FromString(cf_spec_type_of(object_of(self)->layer->spec)->name);
}

static PyObject *get_options(PyObject *self, void *closure) {
    (void)closure;
    return cf_py_spec_options(object_of(self)->state, object_of(self)->layer->spec);
}

static PyObject *get_features(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromSize_t(object_of(self)->layer->features);
}

static bool find_base_shape(const cf_layer *layer, cf_shape *out) {
    *out = layer->shape;
    if (cf_layer_reshape(layer->spec, true, out) == CF_OK)
        return true;
    PyErr_NoMemory(); /* the shapes of bound layers fit */
    return false;
}

static PyObject *get_base_shape(PyObject *self, void *closure) {
    cf_shape shape;
    (void)closure;
    return find_base_shape(object_of(self)->layer, &shape) ? cf_py_shape_tuple(shape) : NULL;
}

static PyObject *get_shape(PyObject *self, void *closure) {
    (void)closure;
    return cf_py_shape_tuple(object_of(self)->layer->shape);
}

static PyObject *get_context_features(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromSize_t(cf_shape_features(object_of(self)->layer->context));
}

static PyObject *get_layers(PyObject *self, void *closure) {
    (void)closure;
    const layer_object *layer = object_of(self);
    return cf_py_bound_layers(layer->state, layer->owner, layer->layer);
}

/* "(n, 2)". */
static void write_shape(cf_shape shape, char *out, size_t size) {
    if (shape.image)
        PyOS_snprintf(out, size, "(n, %zu, %zu, %zu)", shape.channels, shape.height, shape.width);
    else
        PyOS_snprintf(out, size, "(n, %zu)", shape.channels);
}

static PyObject *shapes_of(const cf_layer *layer) {
    cf_shape base;
    char u[96], x[96];
    if (!find_base_shape(layer, &base))
        return NULL;
    write_shape(base, u, sizeof u);
    write_shape(layer->shape, x, sizeof x);
    return PyUnicode_FromFormat("u %s -> x %s", u, x);
}

static PyObject *layer_repr(PyObject *self) {
    const layer_object *layer = object_of(self);
    PyObject *spec = cf_py_spec_repr(layer->state, layer->layer->spec);
    if (spec == NULL)
        return NULL;
    PyObject *shapes = shapes_of(layer->layer);
    PyObject *text = shapes == NULL ? NULL : PyUnicode_FromFormat("<%U: %U>", spec, shapes);
    Py_XDECREF(shapes);
    Py_DECREF(spec);
    return text;
}

/* ---- permutations ---- */

static const cf_setting *indices_of(PyObject *self) {
    return cf_spec_get(object_of(self)->layer->spec, "indices");
}

static PyObject *get_indices(PyObject *self, void *closure) {
    (void)closure;
    const cf_setting *indices = indices_of(self);
    npy_intp count = (npy_intp)indices->count;
    PyObject *array = PyArray_SimpleNew(1, &count, NPY_INT64);
    if (array != NULL)
        memcpy(PyArray_DATA((PyArrayObject *)array), indices->integers,
               indices->count * sizeof *indices->integers);
    return array;
}

static PyObject *get_sign(PyObject *self, void *closure) {
    (void)closure;
    const cf_setting *indices = indices_of(self);
    unsigned char *seen = PyMem_Malloc(indices->count);
    if (seen == NULL)
        return PyErr_NoMemory();
    int sign = cf_permutation_sign(indices->integers, indices->count, seen);
    size_t pixels = object_of(self)->layer->features / indices->count; /* that each index moves */
    PyMem_Free(seen);
    if (pixels % 2 == 0)
        sign = 1;
    return PyLong_FromLong(sign);
}

/* ---- the classes ---- */

static PyGetSetDef layer_getset[] = {
    {"spec", get_spec, NULL, "Layer: the description that was bound, random choices made.", NULL},
    {"type", get_type, NULL, "str: the name of its class.", NULL},
    {"options", get_options, NULL, "dict: all options and their values, a new one.", NULL},
    {"shape", get_shape, NULL,
     "tuple of int: the shape of a sample of x, (features,) or (channels, height, width).", NULL},
    {"base_shape", get_base_shape, NULL, "tuple of int: the same of u.", NULL},
    {"features", get_features, NULL, "int: the number of features of x.", NULL},
    {"context_features", get_context_features, NULL, "int: the number of context features.", NULL},
    {"layers", get_layers, NULL, "tuple of BoundLayer: the layers within this one, base to data.",
     NULL},
    {0},
};

static PyType_Slot layer_slots[] = {
    {Py_tp_doc, "A layer of a flow, bound to its sizes."},
    {Py_tp_dealloc, layer_dealloc},
    {Py_tp_repr, layer_repr},
    {Py_tp_getset, layer_getset},
    {0},
};

static PyType_Spec layer_spec = {
    .name = "cflows._core.BoundLayer",
    .basicsize = sizeof(layer_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = layer_slots,
};

static PyGetSetDef permutation_getset[] = {
    {"indices", get_indices, NULL,
     "ndarray of int64: forward(u)[:, i] = u[:, indices[i]], of an image one a channel or one a "
     "feature.",
     NULL},
    {"sign", get_sign, NULL, "int: the determinant, (-1) ** (number of transpositions).", NULL},
    {0},
};

static PyType_Slot permutation_slots[] = {
    {Py_tp_doc, "A permutation of a flow's features."},
    {Py_tp_dealloc, layer_dealloc},
    {Py_tp_getset, permutation_getset},
    {0},
};

static PyType_Spec permutation_spec = {
    .name = "cflows._core.BoundPermutation",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = permutation_slots,
};

bool cf_py_add_layers(PyObject *module) {
    cf_module_state *state = PyModule_GetState(module);
    state->layer = cf_py_add_type(module, &layer_spec, NULL);
    if (state->layer != NULL)
        state->permutation = cf_py_add_type(module, &permutation_spec, state->layer);
    return state->permutation != NULL;
}
