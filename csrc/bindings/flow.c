#include "bindings/flow.h"

#include "bindings/arguments.h"
#include "bindings/flow_calls.h"
#include "bindings/flow_docs.h"
#include "bindings/flow_state.h"
#include "bindings/layer.h"
#include "bindings/settings.h"
#include "bindings/spec.h"
#include "bindings/tensors.h"

static const char capsule_name[] = "cflows._core.flow";

/* ---- life ---- */

cf_flow *cf_py_flow_of(PyObject *self) {
    cf_flow *flow = ((cf_py_flow *)self)->flow;
    if (flow == NULL)
        PyErr_Format(PyExc_RuntimeError, "the %s has not been initialised by Flow.__init__",
                     Py_TYPE(self)->tp_name);
    return flow;
}

static void free_flow(PyObject *capsule) {
    cf_flow_free(PyCapsule_GetPointer(capsule, capsule_name));
}

void cf_py_flow_drop(cf_py_flow *self) {
    self->flow = NULL;
    Py_CLEAR(self->parameters);
    Py_CLEAR(self->gradients);
    Py_CLEAR(self->buffers);
    Py_CLEAR(self->owner);
}

static bool make_views(cf_py_flow *self) {
    const cf_flow *flow = self->flow;
    const cf_slab_table *table = cf_flow_parameter_table(flow);
    int number = cf_py_type_number(cf_flow_dtype(flow));
    self->parameters = cf_py_tensors(table, cf_flow_parameters(flow), number, self->owner);
    if (self->parameters != NULL)
        self->gradients = cf_py_tensors(table, cf_flow_gradients(flow), number, self->owner);
    if (self->gradients != NULL)
        self->buffers = cf_py_tensors(cf_flow_buffer_table(flow), cf_flow_buffers(flow), NPY_DOUBLE,
                                      self->owner);
    return self->buffers != NULL;
}

bool cf_py_flow_adopt(cf_py_flow *self, cf_flow *flow) {
    self->owner = PyCapsule_New(flow, capsule_name, free_flow);
    if (self->owner == NULL) {
        cf_flow_free(flow);
        return false;
    }
    self->flow = flow;
    bool done = make_views(self);
    if (!done)
        cf_py_flow_drop(self);
    return done;
}

/* The arguments that are specs are read as options of specs are. */
static const cf_option layers_option = {
    .name = "layers", .kinds = CF_OPTION_SPECS, .spec_role = "layer"};
static const cf_option base_option = {
    .name = "base", .kinds = CF_OPTION_SPEC | CF_OPTIONAL, .spec_role = "base"};
static const cf_option embedding_option = {
    .name = "embedding", .kinds = CF_OPTION_SPEC | CF_OPTIONAL, .spec_role = "embedding"};

/* The spec of an option of one; NULL for none. */
static cf_spec *one_spec(const cf_py_setting *given) {
    return given->setting.kind == CF_NONE ? NULL : given->setting.specs[0];
}

bool cf_py_flow_build(cf_py_flow *self, PyObject *layers, PyObject *base, PyObject *embedding,
                      cf_flow_parts parts) {
    const cf_module_state *state = self->state;
    cf_py_setting layer_list = {0}, base_spec = {0}, embedding_spec = {0};
    cf_flow *flow = NULL;
    if (self->flow != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the flow is initialised already");
        return false;
    }
    bool read = cf_py_setting_from(state, "Flow", &layers_option, layers, &layer_list) &&
                cf_py_setting_from(state, "Flow", &base_option, base, &base_spec) &&
                cf_py_setting_from(state, "Flow", &embedding_option, embedding, &embedding_spec);
    if (read) {
        parts.layers = layer_list.setting.specs;
        parts.layer_count = layer_list.setting.count;
        parts.base = one_spec(&base_spec);
        parts.embedding = one_spec(&embedding_spec);
        cf_status status = cf_flow_new(&flow, &parts);
        if (status != CF_OK)
            cf_py_fail(state, status);
    }
    cf_py_setting_release(&layer_list);
    cf_py_setting_release(&base_spec);
    cf_py_setting_release(&embedding_spec);
    return flow != NULL && cf_py_flow_adopt(self, flow);
}

static PyObject *flow_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)args;
    (void)keywords;
    const cf_module_state *state = cf_py_state(type);
    cf_py_flow *self = state == NULL ? NULL : (cf_py_flow *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->state = state;
    return (PyObject *)self;
}

/* Of the two arguments one. */
static bool read_shape(PyObject *features, PyObject *shape, cf_shape *out) {
    uint64_t count;
    if ((features == Py_None) == (shape == Py_None)) {
        PyErr_Format(PyExc_TypeError,
                     "Flow needs features, for vectors, or shape=(channels, height, width), for "
                     "images, got %s",
                     features == Py_None ? "neither" : "both");
        return false;
    }
    if (features == Py_None)
        return cf_py_shape(shape, "shape", out);
    if (!cf_py_count(features, "features", NPY_MAX_INTP, &count))
        return false;
    *out = cf_vector((size_t)count);
    return true;
}

static int flow_init(PyObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"layers",    "features", "context_features",
                            "embedding", "base",     "dtype",
                            "seed",      "shape",    NULL};
    PyObject *layers, *features = Py_None, *context = NULL, *embedding = Py_None, *base = Py_None;
    PyObject *type = NULL, *seed = NULL, *shape = Py_None;
    uint64_t context_count = 0;
    cf_flow_parts parts = {.dtype = CF_FLOAT32};
    bool done =
        PyArg_ParseTupleAndKeywords(args, keywords, "O|OOOOOOO:Flow", names, &layers, &features,
                                    &context, &embedding, &base, &type, &seed, &shape) &&
        read_shape(features, shape, &parts.shape) &&
        (context == NULL ||
         cf_py_count(context, "context_features", NPY_MAX_INTP, &context_count)) &&
        (type == NULL || cf_py_dtype(type, &parts.dtype)) &&
        cf_py_seed(((cf_py_flow *)self)->state, seed, &parts.seed);
    if (!done)
        return -1;
    parts.context = (size_t)context_count;
    return cf_py_flow_build((cf_py_flow *)self, layers, base, embedding, parts) ? 0 : -1;
}

/* The views refer to the capsule, not to self: what a collector could free is in the attributes of
 * subclasses alone. */
static int flow_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void flow_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    cf_py_flow_drop((cf_py_flow *)self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- attributes ---- */

static PyObject *read_only(PyObject *self, PyObject *dict) {
    return cf_py_flow_of(self) == NULL ? NULL : PyDictProxy_New(dict);
}

static PyObject *get_parameters(PyObject *self, void *closure) {
    (void)closure;
    return read_only(self, ((cf_py_flow *)self)->parameters);
}

static PyObject *get_gradients(PyObject *self, void *closure) {
    (void)closure;
    return read_only(self, ((cf_py_flow *)self)->gradients);
}

static PyObject *get_buffers(PyObject *self, void *closure) {
    (void)closure;
    return read_only(self, ((cf_py_flow *)self)->buffers);
}

static PyObject *get_layers(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    const cf_py_flow *object = (cf_py_flow *)self;
    return flow == NULL ? NULL
                        : cf_py_bound_layers(object->state, object->owner, cf_flow_chain(flow));
}

static PyObject *get_base(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL
                        : cf_py_spec_wrap(((cf_py_flow *)self)->state, cf_flow_base(flow)->spec);
}

static PyObject *get_embedding(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL
                        : cf_py_spec_wrap(((cf_py_flow *)self)->state, cf_flow_embedding(flow));
}

static PyObject *get_features(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyLong_FromSize_t(cf_flow_features(flow));
}

static PyObject *get_shape(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : cf_py_shape_tuple(cf_flow_shape(flow));
}

static PyObject *get_base_shape(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : cf_py_shape_tuple(cf_flow_base_shape(flow));
}

static PyObject *get_context_features(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyLong_FromSize_t(cf_flow_context(flow));
}

static PyObject *get_stochastic(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyBool_FromLong(cf_layer_is_stochastic(cf_flow_chain(flow)));
}

static PyObject *get_dtype(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL
                        : (PyObject *)PyArray_DescrFromType(cf_py_type_number(cf_flow_dtype(flow)));
}

static PyObject *get_seed(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyLong_FromUnsignedLongLong(cf_flow_seed(flow));
}

static PyObject *get_n_parameters(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    if (flow == NULL)
        return NULL;
    const cf_slab_table *table = cf_flow_parameter_table(flow);
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++)
        count += table->tensors[i].size;
    return PyLong_FromSize_t(count);
}

static PyGetSetDef getset[] = {
    {"parameters", get_parameters, NULL, parameters_doc, NULL},
    {"gradients", get_gradients, NULL, gradients_doc, NULL},
    {"buffers", get_buffers, NULL, buffers_doc, NULL},
    {"frozen", cf_py_flow_frozen, NULL, "The names of the frozen parameters, a tuple.", NULL},
    {"layers", get_layers, NULL, "The bound layers, base to data, a tuple.", NULL},
    {"base", get_base, NULL, "The base distribution.", NULL},
    {"embedding", get_embedding, NULL, "The `Embedding` of the context, or None.", NULL},
    {"shape", get_shape, NULL,
     "The shape of a sample: (features,), or of images (channels, height, width).", NULL},
    {"base_shape", get_base_shape, NULL,
     "The shape of a point of the base; layers may change it, with the number of features or "
     "without.",
     NULL},
    {"stochastic", get_stochastic, NULL,
     "Whether a layer is stochastic, so that `log_prob` is a lower bound.", NULL},
    {"features", get_features, NULL, "The number of features of a sample.", NULL},
    {"context_features", get_context_features, NULL,
     "The number of context features, before any embedding.", NULL},
    {"dtype", get_dtype, NULL, "The dtype of parameters and results.", NULL},
    {"seed", get_seed, NULL, "The seed of the starting weights and random permutations.", NULL},
    {"n_parameters", get_n_parameters, NULL, "The number of parameters, frozen ones too.", NULL},
    {0},
};

/* ---- the class ---- */

#define FAST(name, function, doc)                                                                  \
    { name, (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS, doc }

static PyMethodDef methods[] = {
    FAST("forward", cf_py_flow_forward, forward_doc),
    FAST("inverse", cf_py_flow_inverse, inverse_doc),
    FAST("log_prob", cf_py_flow_log_prob, log_prob_doc),
    FAST("sample", cf_py_flow_sample, sample_doc),
    FAST("sample_and_log_prob", cf_py_flow_sample_and_log_prob, sample_and_log_prob_doc),
    FAST("grad_log_prob", cf_py_flow_grad_log_prob, grad_log_prob_doc),
    FAST("vjp", cf_py_flow_vjp, vjp_doc),
    FAST("loss_and_grad", cf_py_flow_loss_and_grad, loss_and_grad_doc),
    {"freeze", cf_py_flow_freeze, METH_O, freeze_doc},
    {"unfreeze", cf_py_flow_unfreeze, METH_O, unfreeze_doc},
    {"astype", cf_py_flow_astype, METH_O, astype_doc},
    {"_snapshot", cf_py_flow_snapshot, METH_NOARGS,
     "_snapshot($self, /)\n--\n\nCopies of parameters and buffers, all of one moment."},
    {"__reduce__", cf_py_flow_reduce, METH_NOARGS, "Pickle by specs, sizes and arrays."},
    {"__setstate__", cf_py_flow_setstate, METH_O, "Build the flow that was pickled."},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)flow_doc}, {Py_tp_new, flow_new},
    {Py_tp_init, flow_init},       {Py_tp_traverse, flow_traverse},
    {Py_tp_dealloc, flow_dealloc}, {Py_tp_getset, getset},
    {Py_tp_methods, methods},      {0},
};

static PyType_Spec flow_spec = {
    .name = "cflows._core.Flow",
    .basicsize = sizeof(cf_py_flow),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

/* The named tuple that vjp returns. */
static PyObject *new_cotangents_class(void) {
    PyObject *collections = PyImport_ImportModule("collections");
    PyObject *maker =
        collections == NULL ? NULL : PyObject_GetAttrString(collections, "namedtuple");
    PyObject *arguments = Py_BuildValue("(s(sss))", "Cotangents", "x", "context", "parameters");
    PyObject *keywords = Py_BuildValue("{ss}", "module", "cflows");
    PyObject *class = NULL;
    if (maker != NULL && arguments != NULL && keywords != NULL)
        class = PyObject_Call(maker, arguments, keywords);
    Py_XDECREF(collections);
    Py_XDECREF(maker);
    Py_XDECREF(arguments);
    Py_XDECREF(keywords);
    return class;
}

bool cf_py_add_flow(PyObject *module) {
    cf_module_state *state = PyModule_GetState(module);
    state->flow = cf_py_add_type(module, &flow_spec, NULL);
    if (state->flow != NULL)
        state->cotangents = new_cotangents_class();
    return state->cotangents != NULL &&
           PyModule_AddObjectRef(module, "Cotangents", state->cotangents) == 0;
}
