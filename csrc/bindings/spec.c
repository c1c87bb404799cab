#include "bindings/spec.h"

#include <string.h>

#include "bindings/settings.h"
#include "bindings/spec_build.h"
#include "bindings/spec_doc.h"
#include "layers/registry.h"
#include "train/registry.h"

typedef struct {
    PyObject ob_base;
    cf_spec *spec;
} spec_object;

static cf_spec *spec_of(PyObject *self) {
    return ((spec_object *)self)->spec;
}

/* ---- construction ---- */

/* The type of a Python class; it is in the list, since these classes cannot be subclassed. */
static const cf_spec_type *type_of(const cf_module_state *state, PyTypeObject *class) {
    size_t i = 0;
    while (PyTuple_GET_ITEM(state->spec_types, (Py_ssize_t)i) != (PyObject *)class)
        i++;
    return state->types[i];
}

static PyTypeObject *class_of(const cf_module_state *state, const cf_spec_type *type) {
    size_t i = 0;
    while (state->types[i] != type)
        i++;
    return (PyTypeObject *)PyTuple_GET_ITEM(state->spec_types, (Py_ssize_t)i);
}

/* The type of that name, or of that former name, or NULL. */
static const cf_spec_type *type_named(const cf_module_state *state, const char *name) {
    name = cf_present_type_name(name);
    const cf_spec_type *const *type = state->types;
    while (*type != NULL && strcmp((*type)->name, name) != 0)
        type++;
    return *type;
}

/* Takes over the caller's hold on `spec`. */
static PyObject *new_object(PyTypeObject *class, cf_spec *spec) {
    spec_object *self = (spec_object *)class->tp_alloc(class, 0);
    if (self == NULL)
        cf_spec_free(spec);
    else
        self->spec = spec;
    return (PyObject *)self;
}

PyObject *cf_py_spec_wrap(const cf_module_state *state, cf_spec *spec) {
    if (spec == NULL)
        return Py_NewRef(Py_None);
    return new_object(class_of(state, cf_spec_type_of(spec)), cf_spec_retain(spec));
}

cf_spec *cf_py_spec_get(const cf_module_state *state, PyObject *object) {
    return PyObject_TypeCheck(object, state->spec) ? spec_of(object) : NULL;
}

static PyObject *spec_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    const cf_module_state *state = PyType_GetModuleState(type);
    cf_spec *spec = cf_py_spec_build(state, type_of(state, type), args, keywords);
    return spec == NULL ? NULL : new_object(type, spec);
}

PyObject *cf_py_make_spec(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    const cf_module_state *state = PyModule_GetState(module);
    if (nargs != 2 || !PyUnicode_Check(args[0]) || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "make_spec(type, options) takes a string and a dict");
        return NULL;
    }
    const char *name = PyUnicode_AsUTF8(args[0]);
    const cf_spec_type *type = name == NULL ? NULL : type_named(state, name);
    if (type == NULL) {
        PyErr_Format(PyExc_ValueError, "no layer or part is called %.100R", args[0]);
        return NULL;
    }
    cf_spec *spec = cf_py_spec_build(state, type, NULL, args[1]);
    return spec == NULL ? NULL : new_object(class_of(state, type), spec);
}

static void spec_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    cf_spec_free(spec_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- what it says of itself ---- */

static PyObject *get_type(PyObject *self, void *closure) {
    (void)closure;
    return PyUnicode_FromString(cf_spec_type_of(spec_of(self))->name);
}

static PyObject *get_role(PyObject *self, void *closure) {
    (void)closure;
    return PyUnicode_FromString(cf_spec_type_of(spec_of(self))->role);
}

static PyObject *get_option(PyObject *self, void *option) {
    const cf_module_state *state = PyType_GetModuleState(Py_TYPE(self));
    return cf_py_setting_value(state, cf_spec_get(spec_of(self), ((cf_option *)option)->name));
}

/* Sets dict[option] = value. */
static bool add_value(PyObject *dict, const cf_module_state *state, const cf_spec *spec,
                      const cf_option *option) {
    PyObject *value = cf_py_setting_value(state, cf_spec_get(spec, option->name));
    bool done = value != NULL && PyDict_SetItemString(dict, option->name, value) == 0;
    Py_XDECREF(value);
    return done;
}

/* Options and values; those at their defaults only if `all`. */
static PyObject *options_of(const cf_module_state *state, const cf_spec *spec, bool all) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < type->option_count; i++) {
        const cf_option *option = &type->options[i];
        bool differs = option->required || !cf_py_settings_equal(cf_spec_get(spec, option->name),
                                                                 &option->default_value);
        if ((all || differs) && !add_value(dict, state, spec, option))
            Py_CLEAR(dict);
    }
    return dict;
}

PyObject *cf_py_spec_options(const cf_module_state *state, const cf_spec *spec) {
    return options_of(state, spec, true);
}

static PyObject *get_options(PyObject *self, void *closure) {
    (void)closure;
    return cf_py_spec_options(PyType_GetModuleState(Py_TYPE(self)), spec_of(self));
}

/* The options of a dict as they stand in a call: "a=1, b='x'". */
static PyObject *join_options(PyObject *options) {
    PyObject *name, *value, *text = PyUnicode_FromString("");
    Py_ssize_t position = 0;
    while (text != NULL && PyDict_Next(options, &position, &name, &value)) {
        bool first = PyUnicode_GET_LENGTH(text) == 0;
        PyObject *longer = PyUnicode_FromFormat(first ? "%U%U=%R" : "%U, %U=%R", text, name, value);
        Py_SETREF(text, longer);
    }
    return text;
}

PyObject *cf_py_spec_repr(const cf_module_state *state, const cf_spec *spec) {
    PyObject *options = options_of(state, spec, false);
    PyObject *joined = options == NULL ? NULL : join_options(options);
    PyObject *text =
        joined == NULL ? NULL : PyUnicode_FromFormat("%s(%U)", cf_spec_type_of(spec)->name, joined);
    Py_XDECREF(options);
    Py_XDECREF(joined);
    return text;
}

static PyObject *spec_repr(PyObject *self) {
    return cf_py_spec_repr(PyType_GetModuleState(Py_TYPE(self)), spec_of(self));
}

/* Specs that are equal have the same repr. */
static Py_hash_t spec_hash(PyObject *self) {
    PyObject *text = spec_repr(self);
    Py_hash_t hash = text == NULL ? -1 : PyObject_Hash(text);
    Py_XDECREF(text);
    return hash;
}

bool cf_py_specs_equal(const cf_spec *a, const cf_spec *b) {
    const cf_spec_type *type = cf_spec_type_of(a);
    if (type != cf_spec_type_of(b))
        return false;
    for (size_t i = 0; a != b && i < type->option_count; i++) {
        const char *name = type->options[i].name;
        if (!cf_py_settings_equal(cf_spec_get(a, name), cf_spec_get(b, name)))
            return false;
    }
    return true;
}

static PyObject *spec_compare(PyObject *self, PyObject *other, int operation) {
    bool comparable = (operation == Py_EQ || operation == Py_NE) && Py_TYPE(other) == Py_TYPE(self);
    if (!comparable)
        Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong(cf_py_specs_equal(spec_of(self), spec_of(other)) ==
                           (operation == Py_EQ));
}

static PyObject *spec_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *module = PyType_GetModule(Py_TYPE(self));
    PyObject *maker = PyObject_GetAttrString(module, "make_spec");
    if (maker == NULL)
        return NULL;
    /* N steals the references, even on failure. */
    return Py_BuildValue("N(sN)", maker, cf_spec_type_of(spec_of(self))->name,
                         get_options(self, NULL));
}

/* ---- the classes ---- */

static PyGetSetDef spec_getset[] = {
    {"type", get_type, NULL, "str: the name of the class, as model files spell it.", NULL},
    {"role", get_role, NULL,
     "str: what it is, 'layer', 'transform', 'conditioner', 'base', 'optimizer', 'schedule', ...",
     NULL},
    {"options", get_options, NULL, "dict: all options and their values, a new one.", NULL},
    {0},
};

static PyMethodDef spec_methods[] = {
    {"__reduce__", spec_reduce, METH_NOARGS, "Pickle by type name and options."},
    {0},
};

static PyType_Slot base_slots[] = {
    {Py_tp_doc,
     "A description of a layer, of a part, or of how to learn: immutable, not yet bound to sizes."},
    {Py_tp_dealloc, spec_dealloc},
    {Py_tp_repr, spec_repr},
    {Py_tp_hash, spec_hash},
    {Py_tp_richcompare, spec_compare},
    {Py_tp_getset, spec_getset},
    {Py_tp_methods, spec_methods},
    {0},
};

enum {
    ABSTRACT = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    CONCRETE = Py_TPFLAGS_DEFAULT
};

static PyType_Spec base_spec = {
    .name = "cflows.Spec",
    .basicsize = sizeof(spec_object),
    .flags = ABSTRACT,
    .slots = base_slots,
};

/* "cflows.Name", in the state's arena. */
static const char *qualified(cf_module_state *state, const char *name) {
    size_t length = strlen(name) + sizeof "cflows.";
    char *text;
    if (cf_arena_alloc(&state->arena, &text, length, 1) != CF_OK)
        return PyErr_NoMemory(), NULL;
    PyOS_snprintf(text, length, "cflows.%s", name);
    return text;
}

/* The class of a role, added when its first type comes; where a type has the role's own name, Spec
 * is its base. Borrowed. */
static PyTypeObject *role_class(PyObject *module, cf_module_state *state, const char *role) {
    PyObject *name = cf_py_role_name(role);
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    PyTypeObject *class = NULL;
    if (text != NULL && type_named(state, text) != NULL) {
        class = state->spec;
    } else if (text != NULL && PyObject_HasAttr(module, name)) {
        class = (PyTypeObject *)PyObject_GetAttr(module, name);
        Py_XDECREF(class);
    } else if (text != NULL) {
        PyType_Slot slots[] = {{Py_tp_dealloc, spec_dealloc}, {0}};
        PyType_Spec spec = {.name = qualified(state, text), .flags = ABSTRACT, .slots = slots};
        class = spec.name == NULL ? NULL : cf_py_add_type(module, &spec, state->spec);
        Py_XDECREF(class);
    }
    Py_XDECREF(name);
    return class;
}

/* An attribute for every option. */
static PyGetSetDef *attributes(cf_module_state *state, const cf_spec_type *type) {
    PyGetSetDef *getset;
    if (cf_arena_alloc(&state->arena, &getset, type->option_count + 1, sizeof *getset) != CF_OK)
        return (PyGetSetDef *)PyErr_NoMemory();
    for (size_t i = 0; i < type->option_count; i++)
        getset[i] = (PyGetSetDef){.name = type->options[i].name,
                                  .get = get_option,
                                  .doc = type->options[i].doc,
                                  .closure = (void *)&type->options[i]};
    return getset;
}

static PyTypeObject *add_class(PyObject *module, cf_module_state *state, const cf_spec_type *type) {
    PyTypeObject *base = role_class(module, state, type->role), *class = NULL;
    PyGetSetDef *getset = base == NULL ? NULL : attributes(state, type);
    const char *name = getset == NULL ? NULL : qualified(state, type->name);
    PyObject *doc = name == NULL ? NULL : cf_py_spec_doc(state, type);
    const char *text = doc == NULL ? NULL : PyUnicode_AsUTF8(doc);
    if (text != NULL) {
        PyType_Slot slots[] = {
            {Py_tp_new, spec_new},
            {Py_tp_dealloc, spec_dealloc},
            {Py_tp_getset, getset},
            {Py_tp_doc, (void *)text},
            {0},
        };
        PyType_Spec spec = {.name = name, .flags = CONCRETE, .slots = slots};
        class = cf_py_add_type(module, &spec, base);
    }
    Py_XDECREF(doc);
    return class;
}

/* Lists the types of both registries; returns how many there are, or -1. */
static Py_ssize_t list_types(cf_module_state *state) {
    const cf_spec_type *const *const lists[] = {cf_spec_types, cf_training_types};
    size_t count = 0;
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; lists[i][k] != NULL; k++)
            count++;
    if (cf_arena_alloc(&state->arena, &state->types, count + 1, sizeof *state->types) != CF_OK) {
        PyErr_NoMemory();
        return -1;
    }
    count = 0;
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; lists[i][k] != NULL; k++)
            state->types[count++] = lists[i][k];
    return (Py_ssize_t)count;
}

/* Lists the classes, abstract ones too, as the module's `__all__`: the package exports them all. */
static bool export_classes(PyObject *module, const cf_module_state *state) {
    PyObject *names = PyList_New(0), *name, *value;
    Py_ssize_t at = 0;
    bool done = names != NULL;
    while (done && PyDict_Next(PyModule_GetDict(module), &at, &name, &value))
        if (PyType_Check(value) && PyType_IsSubtype((PyTypeObject *)value, state->spec))
            done = PyList_Append(names, name) == 0;
    done = done && PyModule_AddObjectRef(module, "__all__", names) == 0;
    Py_XDECREF(names);
    return done;
}

bool cf_py_add_specs(PyObject *module) {
    cf_module_state *state = PyModule_GetState(module);
    Py_ssize_t count = list_types(state);
    if (count < 0)
        return false;
    state->spec = cf_py_add_type(module, &base_spec, NULL);
    state->spec_types = state->spec == NULL ? NULL : PyTuple_New(count);
    for (Py_ssize_t i = 0; state->spec_types != NULL && i < count; i++) {
        PyTypeObject *class = add_class(module, state, state->types[i]);
        if (class == NULL)
            return false;
        PyTuple_SET_ITEM(state->spec_types, i, (PyObject *)class);
    }
    return state->spec_types != NULL && export_classes(module, state);
}
