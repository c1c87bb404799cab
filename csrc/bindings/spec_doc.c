#include "bindings/spec_doc.h"

#include <ctype.h>
#include <string.h>

#include "bindings/settings.h"

enum { LINE = 79 };

/* Appends formatted text to *text, which may be NULL: nothing yet. */
static bool add(PyObject **text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    PyObject *more = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    if (more == NULL)
        return false;
    PyObject *whole = *text == NULL ? Py_NewRef(more) : PyUnicode_Concat(*text, more);
    Py_DECREF(more);
    Py_XSETREF(*text, whole);
    return whole != NULL;
}

PyObject *cf_py_role_name(const char *role) {
    char name[32];
    PyOS_snprintf(name, sizeof name, "%s", role);
    name[0] = (char)toupper((unsigned char)name[0]);
    return PyUnicode_FromString(name);
}

static bool add_choices(PyObject **text, const cf_option *option) {
    const char *const *choice = option->choices;
    if (choice == NULL)
        return add(text, "str");
    for (; *choice != NULL; choice++)
        if (!add(text, "%s'%s'", choice == option->choices ? "{" : ", ", *choice))
            return false;
    return add(text, "}");
}

static bool add_role(PyObject **text, const cf_option *option, const char *format) {
    PyObject *role = cf_py_role_name(option->spec_role);
    bool done = role != NULL && add(text, format, role);
    Py_XDECREF(role);
    return done;
}

static bool add_kind(PyObject **text, const cf_option *option, unsigned kind) {
    switch (kind) {
    case CF_OPTION_BOOL:
        return add(text, "bool");
    case CF_OPTION_INT:
        return add(text, "int");
    case CF_OPTION_REAL:
        return add(text, "float");
    case CF_OPTION_STRING:
        return add_choices(text, option);
    case CF_OPTION_INTS:
        return add(text, "sequence of int");
    case CF_OPTION_REALS:
        return add(text,
                   option->kinds & CF_MATRIX ? "sequence of float or matrix" : "sequence of float");
    case CF_OPTION_BOOLS:
        return add(text, option->kinds & CF_MATRIX ? "sequence of bool or matrix of bool"
                                                   : "sequence of bool");
    case CF_OPTION_SPECS:
        return add_role(text, option, "sequence of %U");
    default:
        return add_role(text, option, "%U");
    }
}

PyObject *cf_py_option_kinds(const cf_option *option) {
    static const unsigned order[] = {CF_OPTION_STRING, CF_OPTION_BOOL,  CF_OPTION_INT,
                                     CF_OPTION_REAL,   CF_OPTION_SPEC,  CF_OPTION_BOOLS,
                                     CF_OPTION_INTS,   CF_OPTION_REALS, CF_OPTION_SPECS};
    PyObject *text = NULL;
    bool done = true;
    for (size_t i = 0; done && i < sizeof order / sizeof *order; i++)
        if (option->kinds & order[i])
            done = (text == NULL || add(&text, " or ")) && add_kind(&text, option, order[i]);
    if (done && (option->kinds & CF_OPTIONAL))
        done = add(&text, " or None");
    if (!done)
        Py_CLEAR(text);
    return text;
}

/* The default's repr; NULL without an exception if the option is required. */
static PyObject *default_repr(const cf_module_state *state, const cf_option *option) {
    if (option->required)
        return NULL;
    PyObject *value = cf_py_setting_value(state, &option->default_value);
    PyObject *repr = value == NULL ? NULL : PyObject_Repr(value);
    Py_XDECREF(value);
    return repr;
}

static bool add_signature(PyObject **text, const cf_module_state *state, const cf_spec_type *type) {
    if (!add(text, "%s(", type->name))
        return false;
    for (size_t i = 0; i < type->option_count; i++) {
        const cf_option *option = &type->options[i];
        PyObject *default_value = default_repr(state, option);
        if (default_value == NULL && PyErr_Occurred())
            return false;
        const char *separator = i > 0 ? ", " : "";
        bool done = default_value == NULL
                        ? add(text, "%s%s", separator, option->name)
                        : add(text, "%s%s=%U", separator, option->name, default_value);
        Py_XDECREF(default_value);
        if (!done)
            return false;
    }
    return add(text, ")\n--\n\n");
}

/* Appends words in lines of at most LINE columns, indented by four; *column is that reached. */
static bool add_wrapped(PyObject **text, const char *words, size_t *reached) {
    size_t column = *reached;
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        bool starts_line = column + 1 + length > LINE;
        char word[LINE + 1];
        PyOS_snprintf(word, sizeof word, "%.*s", (int)length, words);
        if (!add(text, "%s%s", starts_line ? "\n    " : " ", word))
            return false;
        column = (starts_line ? 4 : column + 1) + length;
        words += length + (words[length] == ' ');
    }
    *reached = column;
    return true;
}

/* The option's text, and after it what numbers it takes: "From 0 to below 1." */
static bool add_words(PyObject **text, const cf_option *option) {
    char range[CF_RANGE_WORDS + 1];
    size_t column = LINE + 1;
    cf_option_range(option, range);
    range[0] = (char)toupper((unsigned char)range[0]);
    if (range[0] != '\0')
        strcat(range, ".");
    return add_wrapped(text, option->doc, &column) && add_wrapped(text, range, &column);
}

static bool add_parameter(PyObject **text, const cf_module_state *state, const cf_option *option) {
    PyObject *kinds = cf_py_option_kinds(option);
    PyObject *default_value = kinds == NULL ? NULL : default_repr(state, option);
    bool done = kinds != NULL && !PyErr_Occurred() && add(text, "\n%s : %U", option->name, kinds);
    if (done && default_value != NULL)
        done = add(text, ", default %U", default_value);
    Py_XDECREF(kinds);
    Py_XDECREF(default_value);
    return done && add_words(text, option);
}

static bool add_parameters(PyObject **text, const cf_module_state *state,
                           const cf_spec_type *type) {
    if (type->option_count > 0 && !add(text, "\n\nParameters\n----------"))
        return false;
    for (size_t i = 0; i < type->option_count; i++)
        if (!add_parameter(text, state, &type->options[i]))
            return false;
    return true;
}

/* The table's text with the parameters before its first section, where NumPy's order has them. */
static bool add_doc(PyObject **text, const cf_module_state *state, const cf_spec_type *type) {
    const char *arrow = "\n\nIts ``forward`` is base to data, u -> x; ``inverse`` is x -> u.";
    const char *sections = strstr(type->doc, "\n\nReferences\n");
    if (sections == NULL)
        sections = strstr(type->doc, "\n\nExamples\n");
    size_t introduction = sections == NULL ? strlen(type->doc) : (size_t)(sections - type->doc);
    PyObject *first = PyUnicode_FromStringAndSize(type->doc, (Py_ssize_t)introduction);
    bool done = first != NULL && add(text, "%U", first);
    Py_XDECREF(first);
    if (done && strcmp(type->role, "layer") == 0)
        done = add(text, "%s", arrow);
    done = done && add_parameters(text, state, type);
    return done && (sections == NULL || add(text, "%s", sections));
}

PyObject *cf_py_spec_doc(const cf_module_state *state, const cf_spec_type *type) {
    PyObject *text = NULL;
    if (!add_signature(&text, state, type) || !add_doc(&text, state, type))
        Py_CLEAR(text);
    return text;
}
