#include "bindings/flow.h"

#include "bindings/arguments.h"
#include "bindings/arrays.h"
#include "bindings/flow_docs.h"
#include "bindings/layer.h"
#include "bindings/model.h"
#include "bindings/request.h"
#include "bindings/settings.h"
#include "bindings/spec.h"

/* ---- life ---- */

/* Arguments that are specs are read like options of specs. */
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

bool cf_py_flow_build(const cf_module_state *state, PyObject *layers, PyObject *base,
                      PyObject *embedding, cf_flow_parts parts, cf_py_contents *out) {
    cf_py_setting layer_list = {0}, base_spec = {0}, embedding_spec = {0};
    cf_flow *flow = NULL;
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
    return flow != NULL && cf_py_contents_new(flow->model, flow, NULL, out);
}

/* Reads one of the two arguments. */
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

static int flow_init(PyObject *object, PyObject *args, PyObject *keywords) {
    static char *names[] = {
        "layers", "features", "context_features",    "embedding", "base", "dtype",
        "seed",   "shape",    "standardize_context", NULL};
    PyObject *layers, *features = Py_None, *context = NULL, *embedding = Py_None, *base = Py_None;
    PyObject *type = NULL, *seed = NULL, *shape = Py_None;
    int standardize_context = 1;
    cf_py_model *self = (cf_py_model *)object;
    uint64_t context_count = 0;
    cf_flow_parts parts = {.dtype = CF_FLOAT32};
    cf_py_contents contents;
    bool done = PyArg_ParseTupleAndKeywords(args, keywords, "O|OOOOOOOp:Flow", names, &layers,
                                            &features, &context, &embedding, &base, &type, &seed,
                                            &shape, &standardize_context) &&
                read_shape(features, shape, &parts.shape) &&
                (context == NULL ||
                 cf_py_count(context, "context_features", NPY_MAX_INTP, &context_count)) &&
                (type == NULL || cf_py_dtype(type, &parts.dtype)) &&
                cf_py_seed(self->state, seed, &parts.seed);
    if (!done)
        return -1;
    parts.context_features = (size_t)context_count;
    parts.raw_context = !standardize_context;
    done = cf_py_flow_build(self->state, layers, base, embedding, parts, &contents) &&
           cf_py_model_publish(self, &contents);
    return done ? 0 : -1;
}

/* ---- attributes ---- */

static PyObject *get_layers(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    const cf_py_model *object = (cf_py_model *)self;
    return flow == NULL ? NULL
                        : cf_py_bound_layers(object->state, object->contents.owner, &flow->chain);
}

static PyObject *get_base(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : cf_py_spec_wrap(((cf_py_model *)self)->state, flow->base.spec);
}

static PyObject *get_embedding(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL
                        : cf_py_spec_wrap(((cf_py_model *)self)->state, flow->embedding.spec);
}

static PyObject *get_features(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyLong_FromSize_t(cf_flow_features(flow));
}

static PyObject *get_shape(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : cf_py_shape_tuple(flow->shape);
}

static PyObject *get_base_shape(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : cf_py_shape_tuple(flow->base_shape);
}

static PyObject *get_context_features(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyLong_FromSize_t(cf_flow_context_features(flow));
}

static PyObject *get_standardize_context(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyBool_FromLong(flow->context_map != NULL);
}

static PyObject *get_stochastic(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyBool_FromLong(cf_layer_is_stochastic(&flow->chain));
}

static PyObject *get_fixed_maps(PyObject *self, void *closure) {
    (void)closure;
    const cf_flow *flow = cf_py_flow_of(self);
    return flow == NULL ? NULL : PyLong_FromSize_t(flow->chain.children - flow->chain.mapped);
}

static PyGetSetDef getset[] = {
    {"layers", get_layers, NULL, "tuple of BoundLayer: the layers, base to data.", NULL},
    {"base", get_base, NULL, "Base: the base distribution.", NULL},
    {"embedding", get_embedding, NULL, "Embedding or None: that of the context.", NULL},
    {"shape", get_shape, NULL,
     "tuple of int: the shape of a sample, (features,) or (channels, height, width).", NULL},
    {"base_shape", get_base_shape, NULL,
     "tuple of int: the shape of a point of the base; layers may change it, with the\n"
     "number of features or without.",
     NULL},
    {"stochastic", get_stochastic, NULL,
     "bool: whether a layer is stochastic, so that `log_prob` is a lower bound.", NULL},
    {"fixed_maps", get_fixed_maps, NULL,
     "int: how many of the last layers are fixed maps of single features, such as `Affine` and\n"
     "`Exp`, which are computed in float64 as one.",
     NULL},
    {"features", get_features, NULL, "int: the number of features of a sample.", NULL},
    {"context_features", get_context_features, NULL,
     "int: the number of context features, before any embedding.", NULL},
    {"standardize_context", get_standardize_context, NULL,
     "bool: whether there is a context that `fit` standardises.", NULL},
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
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)flow_doc},
    {Py_tp_init, flow_init},
    {Py_tp_getset, getset},
    {Py_tp_methods, methods},
    {0},
};

static PyType_Spec flow_spec = {
    .name = "cflows._core.Flow",
    .basicsize = sizeof(cf_py_model),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

PyDoc_STRVAR(cotangents_doc, "What `Flow.vjp` returns.\n\n"
                             "Attributes\n----------\n"
                             "x : ndarray, shape (n, features)\n"
                             "context : ndarray or None\n"
                             "    In the shape of the context that was given.\n"
                             "parameters : dict of str -> ndarray or None\n"
                             "    Zeros for frozen ones.");

static bool set_doc(PyObject *class, const char *doc) {
    PyObject *text = PyUnicode_FromString(doc);
    bool done = text != NULL && PyObject_SetAttrString(class, "__doc__", text) == 0;
    Py_XDECREF(text);
    return done;
}

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
    if (class != NULL && !set_doc(class, cotangents_doc))
        Py_CLEAR(class);
    return class;
}

bool cf_py_add_flow(PyObject *module) {
    cf_module_state *state = PyModule_GetState(module);
    state->flow = cf_py_add_type(module, &flow_spec, state->model);
    if (state->flow != NULL)
        state->cotangents = new_cotangents_class();
    return state->cotangents != NULL &&
           PyModule_AddObjectRef(module, "Cotangents", state->cotangents) == 0;
}
