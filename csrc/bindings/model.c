#include "bindings/model.h"

#include "base/lock.h"
#include "bindings/arguments.h"
#include "bindings/model_docs.h"
#include "bindings/model_state.h"
#include "bindings/request.h"
#include "bindings/settings.h"
#include "bindings/spec.h"
#include "bindings/tensors.h"

static const char capsule_name[] = "cflows._core.model";

/* ---- life ---- */

cf_model *cf_py_model_of(PyObject *self) {
    cf_model *model = ((cf_py_model *)self)->contents.model;
    if (model == NULL)
        PyErr_Format(PyExc_RuntimeError, "the %s has not been initialised by __init__",
                     Py_TYPE(self)->tp_name);
    return model;
}

cf_flow *cf_py_flow_of(PyObject *self) {
    return cf_py_model_of(self) == NULL ? NULL : ((cf_py_model *)self)->contents.flow;
}

static void free_model(PyObject *capsule) {
    cf_model_free(PyCapsule_GetPointer(capsule, capsule_name));
}

void cf_py_contents_free(cf_py_contents *c) {
    c->model = NULL;
    Py_CLEAR(c->parameters);
    Py_CLEAR(c->gradients);
    Py_CLEAR(c->buffers);
    Py_CLEAR(c->owner);
}

bool cf_py_contents_new(cf_model *model, cf_flow *flow, cf_traced *traced, cf_py_contents *out) {
    const cf_slab_table *table = cf_model_parameter_table(model);
    int number = cf_py_type_number(cf_model_dtype(model));
    *out = (cf_py_contents){.model = model, .flow = flow, .traced = traced};
    out->owner = PyCapsule_New(model, capsule_name, free_model);
    if (out->owner == NULL) {
        cf_model_free(model);
        return false;
    }
    out->parameters = cf_py_tensors(table, cf_model_parameters(model), number, out->owner);
    if (out->parameters != NULL)
        out->gradients = cf_py_tensors(table, cf_model_gradients(model), number, out->owner);
    if (out->gradients != NULL)
        out->buffers = cf_py_tensors(cf_model_buffer_table(model), cf_model_buffers(model),
                                     NPY_DOUBLE, out->owner);
    bool done = out->buffers != NULL;
    if (!done)
        cf_py_contents_free(out);
    return done;
}

PyObject *cf_py_fail_initialised(PyObject *self) {
    return PyErr_Format(PyExc_RuntimeError, "the %s is initialised already",
                        Py_TYPE(self)->tp_name);
}

bool cf_py_model_publish(cf_py_model *self, cf_py_contents *contents) {
    cf_lock();
    bool first = self->contents.model == NULL;
    if (first)
        self->contents = *contents;
    cf_unlock();
    if (first)
        return true;
    cf_py_contents_free(contents);
    return cf_py_fail_initialised((PyObject *)self) != NULL;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)args;
    (void)keywords;
    const cf_module_state *state = cf_py_state(type);
    cf_py_model *self = state == NULL ? NULL : (cf_py_model *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->state = state;
    return (PyObject *)self;
}

static const cf_option module_option = {
    .name = "module", .kinds = CF_OPTION_SPEC, .spec_role = "module"};

static int model_init(PyObject *object, PyObject *args, PyObject *keywords) {
    static char *names[] = {"module", "dtype", "seed", NULL};
    cf_py_model *self = (cf_py_model *)object;
    PyObject *module, *type = NULL, *seed_number = NULL;
    cf_dtype dtype = CF_FLOAT32;
    cf_py_setting setting = {0};
    cf_py_contents contents;
    cf_traced *traced = NULL;
    uint64_t seed;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|OO:Model", names, &module, &type,
                                     &seed_number) ||
        (type != NULL && !cf_py_dtype(type, &dtype)) ||
        !cf_py_seed(self->state, seed_number, &seed))
        return -1;
    if (cf_py_setting_from(self->state, "Model", &module_option, module, &setting)) {
        cf_status status = cf_traced_new(&traced, setting.setting.specs[0], dtype, seed, 0);
        if (status != CF_OK)
            cf_py_fail(self->state, status);
    }
    cf_py_setting_release(&setting);
    bool done = traced != NULL && cf_py_contents_new(traced->model, NULL, traced, &contents) &&
                cf_py_model_publish(self, &contents);
    return done ? 0 : -1;
}

/* The views refer to the capsule, not to self: what a collector could free is in the attributes of
 * subclasses alone. */
static int model_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void model_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    cf_py_contents_free(&((cf_py_model *)self)->contents);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- attributes ---- */

static PyObject *read_only(PyObject *self, PyObject *dict) {
    return cf_py_model_of(self) == NULL ? NULL : PyDictProxy_New(dict);
}

static PyObject *get_parameters(PyObject *self, void *closure) {
    (void)closure;
    return read_only(self, ((cf_py_model *)self)->contents.parameters);
}

static PyObject *get_gradients(PyObject *self, void *closure) {
    (void)closure;
    return read_only(self, ((cf_py_model *)self)->contents.gradients);
}

static PyObject *get_buffers(PyObject *self, void *closure) {
    (void)closure;
    return read_only(self, ((cf_py_model *)self)->contents.buffers);
}

static PyObject *get_dtype(PyObject *self, void *closure) {
    (void)closure;
    const cf_model *model = cf_py_model_of(self);
    return model == NULL
               ? NULL
               : (PyObject *)PyArray_DescrFromType(cf_py_type_number(cf_model_dtype(model)));
}

static PyObject *get_seed(PyObject *self, void *closure) {
    (void)closure;
    const cf_model *model = cf_py_model_of(self);
    return model == NULL ? NULL : PyLong_FromUnsignedLongLong(cf_model_seed(model));
}

static PyObject *get_n_parameters(PyObject *self, void *closure) {
    (void)closure;
    const cf_model *model = cf_py_model_of(self);
    if (model == NULL)
        return NULL;
    const cf_slab_table *table = cf_model_parameter_table(model);
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++)
        count += table->tensors[i].size;
    return PyLong_FromSize_t(count);
}

static PyObject *get_module(PyObject *self, void *closure) {
    (void)closure;
    if (cf_py_model_of(self) == NULL)
        return NULL;
    const cf_py_model *object = (cf_py_model *)self;
    const cf_traced *traced = object->contents.traced;
    return cf_py_spec_wrap(object->state, traced == NULL ? NULL : traced->spec);
}

static PyGetSetDef getset[] = {
    {"parameters", get_parameters, NULL, parameters_doc, NULL},
    {"gradients", get_gradients, NULL, gradients_doc, NULL},
    {"buffers", get_buffers, NULL, buffers_doc, NULL},
    {"frozen", cf_py_model_frozen, NULL, "tuple of str: the names of the frozen parameters.", NULL},
    {"dtype", get_dtype, NULL, "dtype: of parameters and results.", NULL},
    {"seed", get_seed, NULL, "int: the seed of the starting weights and random permutations.",
     NULL},
    {"n_parameters", get_n_parameters, NULL, "int: the number of parameters, frozen ones too.",
     NULL},
    {"module", get_module, NULL,
     "Module or None: that of a model of functions alone, None of a flow.", NULL},
    {0},
};

/* ---- the class ---- */

#define FAST(name, function, doc)                                                                  \
    { name, (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS, doc }

static PyMethodDef methods[] = {
    {"freeze", cf_py_model_freeze, METH_O, freeze_doc},
    {"unfreeze", cf_py_model_unfreeze, METH_O, unfreeze_doc},
    {"astype", cf_py_model_astype, METH_O, astype_doc},
    FAST("loss_and_grad", cf_py_model_loss_and_grad, loss_and_grad_doc),
    FAST("_call", cf_py_model_call, call_doc),
    {"_add_function", cf_py_model_add_function, METH_VARARGS, add_function_doc},
    {"_functions", cf_py_model_functions, METH_NOARGS, functions_doc},
    {"_snapshot", cf_py_model_snapshot, METH_NOARGS,
     "_snapshot($self, /)\n--\n\nA consistent copy of parameters and buffers.\n\n"
     "Returns\n-------\n"
     "parameters : dict of str -> ndarray\n"
     "buffers : dict of str -> ndarray of float64"},
    {"__reduce__", cf_py_model_reduce, METH_NOARGS, "Pickle by specs, sizes and arrays."},
    {"__setstate__", cf_py_model_setstate, METH_O, "Build the model that was pickled."},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)model_doc}, {Py_tp_new, model_new},
    {Py_tp_init, model_init},       {Py_tp_traverse, model_traverse},
    {Py_tp_dealloc, model_dealloc}, {Py_tp_getset, getset},
    {Py_tp_methods, methods},       {0},
};

static PyType_Spec model_spec = {
    .name = "cflows._core.Model",
    .basicsize = sizeof(cf_py_model),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

bool cf_py_add_model(PyObject *module) {
    cf_module_state *state = PyModule_GetState(module);
    state->model = cf_py_add_type(module, &model_spec, NULL);
    return state->model != NULL;
}
