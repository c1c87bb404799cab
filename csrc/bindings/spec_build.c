#include "bindings/spec_build.h"

#include "bindings/arguments.h"
#include "bindings/settings.h"

/* Sets one option; a value that is the default leaves it at that. */
static bool set_option(const cf_module_state *state, cf_spec *spec, const cf_option *option,
                       PyObject *value) {
    const char *owner = cf_spec_type_of(spec)->name;
    cf_py_setting setting;
    if (!cf_py_setting_from(state, owner, option, value, &setting))
        return false;
    bool is_default =
        !option->required && cf_py_settings_equal(&setting.setting, &option->default_value);
    cf_status status = is_default ? CF_OK : cf_spec_set(spec, option->name, &setting.setting);
    cf_py_setting_release(&setting);
    if (status != CF_OK)
        cf_py_fail(state, status);
    return status == CF_OK;
}

static const cf_option *find_option(const cf_spec_type *type, PyObject *name) {
    for (size_t i = 0; PyUnicode_Check(name) && i < type->option_count; i++)
        if (PyUnicode_CompareWithASCIIString(name, type->options[i].name) == 0)
            return &type->options[i];
    PyObject *known = PyTuple_New((Py_ssize_t)type->option_count);
    for (size_t i = 0; i < type->option_count && known != NULL; i++) {
        PyObject *option = PyUnicode_FromString(type->options[i].name);
        if (option == NULL)
            Py_CLEAR(known);
        else
            PyTuple_SET_ITEM(known, (Py_ssize_t)i, option);
    }
    cf_py_refuse_keyword(type->name, name, known);
    return NULL;
}

static bool set_positional(const cf_module_state *state, cf_spec *spec, PyObject *args) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    if ((size_t)count > type->option_count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zu arguments, got %zd", type->name,
                     type->option_count, count);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (!set_option(state, spec, &type->options[i], PyTuple_GET_ITEM(args, i)))
            return false;
    return true;
}

static bool set_keywords(const cf_module_state *state, cf_spec *spec, Py_ssize_t positional,
                         PyObject *keywords) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (keywords != NULL && PyDict_Next(keywords, &position, &name, &value)) {
        const cf_option *option = find_option(type, name);
        if (option == NULL)
            return false;
        if (option - type->options < positional) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", type->name,
                         option->name);
            return false;
        }
        if (!set_option(state, spec, option, value))
            return false;
    }
    return true;
}

cf_spec *cf_py_spec_build(const cf_module_state *state, const cf_spec_type *type, PyObject *args,
                          PyObject *keywords) {
    cf_spec *spec;
    cf_status status = cf_spec_new(&spec, type);
    if (status != CF_OK) {
        cf_py_fail(state, status);
        return NULL;
    }
    Py_ssize_t positional = args == NULL ? 0 : PyTuple_GET_SIZE(args);
    bool done = (args == NULL || set_positional(state, spec, args)) &&
                set_keywords(state, spec, positional, keywords);
    if (done && (status = cf_spec_finish(spec)) != CF_OK) {
        cf_py_fail(state, status);
        done = false;
    }
    if (!done) {
        cf_spec_free(spec);
        spec = NULL;
    }
    return spec;
}
