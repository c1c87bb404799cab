#include "bindings/settings.h"

#include <string.h>

#include "bindings/arguments.h"
#include "bindings/spec.h"
#include "bindings/spec_doc.h"

/* ---- from Python ---- */

/* Whether `object` is a spec of the role that the option wants. */
static bool is_wanted_spec(const cf_module_state *state, const cf_option *option,
                           PyObject *object) {
    const cf_spec *spec = cf_py_spec_get(state, object);
    return spec != NULL && option->spec_role != NULL &&
           strcmp(cf_spec_type_of(spec)->role, option->spec_role) == 0;
}

/* What one object is; CF_NONE if it is nothing that the option takes. */
static cf_setting_kind kind_of(const cf_module_state *state, const cf_option *option,
                               PyObject *object) {
    if (PyBool_Check(object) || PyArray_IsScalar(object, Bool))
        return CF_OPTION_BOOL;
    if (PyLong_Check(object) || PyArray_IsScalar(object, Integer))
        return CF_OPTION_INT;
    if (PyFloat_Check(object) || PyArray_IsScalar(object, Floating))
        return CF_OPTION_REAL;
    if (PyUnicode_Check(object))
        return CF_OPTION_STRING;
    return is_wanted_spec(state, option, object) ? CF_OPTION_SPEC : CF_NONE;
}

/* The kind of a list of such objects; CF_NONE if there is no such list. */
static cf_setting_kind list_of(cf_setting_kind kind) {
    switch (kind) {
    case CF_OPTION_BOOL:
        return CF_OPTION_BOOLS;
    case CF_OPTION_INT:
        return CF_OPTION_INTS;
    case CF_OPTION_REAL:
        return CF_OPTION_REALS;
    case CF_OPTION_SPEC:
        return CF_OPTION_SPECS;
    default:
        return CF_NONE;
    }
}

/* The kind of all items of a tuple. An empty one is whatever list the option takes; ints among
 * floats are floats. */
static cf_setting_kind kind_of_items(const cf_module_state *state, const cf_option *option,
                                     PyObject *items) {
    static const cf_setting_kind lists[] = {CF_OPTION_INTS, CF_OPTION_REALS, CF_OPTION_BOOLS,
                                            CF_OPTION_SPECS};
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    for (size_t i = 0; count == 0 && i < sizeof lists / sizeof *lists; i++)
        if (option->kinds & (unsigned)lists[i])
            return lists[i];
    cf_setting_kind all = CF_NONE;
    for (Py_ssize_t i = 0; i < count; i++) {
        cf_setting_kind kind = kind_of(state, option, PyTuple_GET_ITEM(items, i));
        bool numbers = (kind == CF_OPTION_INT && all == CF_OPTION_REAL) ||
                       (kind == CF_OPTION_REAL && all == CF_OPTION_INT);
        if (i == 0 || numbers)
            all = numbers ? CF_OPTION_REAL : kind;
        else if (kind != all)
            return CF_NONE;
    }
    return list_of(all);
}

/* What a value is read for. */
typedef struct {
    const cf_module_state *state;
    const char *owner; /* of the option */
    const cf_option *option;
} reader;

static bool read_integer(const reader *r, PyObject *object, int64_t *out) {
    PyObject *integer = PyNumber_Index(object);
    int overflow = 0;
    if (integer == NULL)
        return false;
    *out = PyLong_AsLongLongAndOverflow(integer, &overflow);
    if (overflow != 0)
        PyErr_Format(PyExc_ValueError, "%s: %s must fit 64 bits, got %S", r->owner, r->option->name,
                     integer);
    Py_DECREF(integer);
    return !PyErr_Occurred();
}

static bool read_real(const reader *r, PyObject *object, double *out) {
    *out = PyFloat_AsDouble(object);
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_OverflowError))
        PyErr_Format(PyExc_ValueError, "%s: %s must fit a float, got %.200S", r->owner,
                     r->option->name, object);
    return !PyErr_Occurred();
}

static bool read_item(const reader *r, cf_setting_kind kind, PyObject *object, void *values,
                      Py_ssize_t i) {
    switch (kind) {
    case CF_OPTION_BOOL:
        ((int64_t *)values)[i] = PyObject_IsTrue(object);
        return true;
    case CF_OPTION_INT:
        return read_integer(r, object, &((int64_t *)values)[i]);
    case CF_OPTION_REAL:
        return read_real(r, object, &((double *)values)[i]);
    default:
        ((cf_spec **)values)[i] = cf_py_spec_get(r->state, object);
        return true;
    }
}

/* Reads `count` objects of one kind into memory of the setting. */
static bool read_items(const reader *r, cf_setting_kind kind, PyObject *const *items,
                       Py_ssize_t count, cf_py_setting *out) {
    out->memory = PyMem_Calloc((size_t)count + 1, 8);
    if (out->memory == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (!read_item(r, kind, items[i], out->memory, i))
            return false;
    out->setting.count = (size_t)count;
    if (kind == CF_OPTION_REAL)
        out->setting.reals = out->memory;
    else if (kind == CF_OPTION_SPEC)
        out->setting.specs = out->memory;
    else
        out->setting.integers = out->memory;
    return true;
}

static bool read_string(PyObject *string, cf_py_setting *out) {
    Py_ssize_t length;
    out->setting.string = PyUnicode_AsUTF8AndSize(string, &length);
    out->setting.count = 1;
    if (out->setting.string != NULL && strlen(out->setting.string) != (size_t)length) {
        PyErr_SetString(PyExc_ValueError, "an option must not hold a null character");
        return false;
    }
    return out->setting.string != NULL;
}

/* The kind of a single item of a list of this kind. */
static cf_setting_kind item_of(cf_setting_kind list) {
    switch (list) {
    case CF_OPTION_BOOLS:
        return CF_OPTION_BOOL;
    case CF_OPTION_INTS:
        return CF_OPTION_INT;
    case CF_OPTION_REALS:
        return CF_OPTION_REAL;
    case CF_OPTION_SPECS:
        return CF_OPTION_SPEC;
    default:
        return list;
    }
}

/* Whether the option takes this kind, an int passing for a float. */
static bool takes(const cf_option *option, cf_setting_kind kind) {
    unsigned kinds = option->kinds;
    if (kinds & CF_OPTION_REAL)
        kinds |= CF_OPTION_INT;
    if (kinds & CF_OPTION_REALS)
        kinds |= CF_OPTION_INTS;
    return (kinds & (unsigned)kind) != 0;
}

/* Whether one int is a list of one: of widths, not where booleans or numbers are taken too. */
static bool stands_for_list(const cf_option *option) {
    const unsigned others = CF_OPTION_INT | CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTION_BOOL |
                            CF_OPTION_BOOLS | CF_OPTION_STRING;
    return option->kinds & CF_OPTION_INTS && !(option->kinds & others);
}

static bool refuse(const char *owner, const cf_option *option, PyObject *value,
                   cf_setting_kind kind) {
    bool of_integers = kind == CF_OPTION_INTS && option->kinds & CF_OPTION_BOOLS;
    PyObject *kinds = cf_py_option_kinds(option);
    PyObject *shown = cf_py_call("cflows.arguments", "shown", "(O)", value);
    if (kinds != NULL && shown != NULL)
        PyErr_Format(PyExc_TypeError, "%s: %s expects %s%U, got %S%s", owner, option->name,
                     stands_for_list(option) ? "int or " : "", kinds, shown,
                     of_integers ? " (0 and 1 must be boolean)" : "");
    Py_XDECREF(kinds);
    Py_XDECREF(shown);
    return false;
}

/* A list's items as a tuple, which nobody else can change; NULL without an exception if `value` is
 * no sequence of its own kind. */
static PyObject *items_of(PyObject *value) {
    if (PyUnicode_Check(value) || PyBytes_Check(value) || !PySequence_Check(value))
        return NULL;
    PyObject *items = PySequence_Tuple(value);
    if (items == NULL && PyErr_ExceptionMatches(PyExc_TypeError))
        PyErr_Clear();
    return items;
}

/* The items of all rows as a tuple, if `rows` are sequences of one length, which is their number if
 * `square`, else `rows`; takes over the caller's hold on them. *count = how many there are, or 0.
 * NULL with an exception. */
static PyObject *join_rows(PyObject *rows, bool square, size_t *count) {
    PyObject *joined = PyList_New(0);
    Py_ssize_t height = PyTuple_GET_SIZE(rows), width = 0;
    bool fits = joined != NULL && height > 0;
    for (Py_ssize_t i = 0; fits && i < height; i++) {
        PyObject *row = items_of(PyTuple_GET_ITEM(rows, i));
        if (row != NULL && i == 0)
            width = square ? height : PyTuple_GET_SIZE(row);
        fits = row != NULL && PyTuple_GET_SIZE(row) == width &&
               PyList_SetSlice(joined, i * width, i * width, row) == 0;
        Py_XDECREF(row);
    }
    *count = fits ? (size_t)height : 0;
    PyObject *items = fits ? PyList_AsTuple(joined) : PyErr_Occurred() ? NULL : Py_NewRef(rows);
    Py_XDECREF(joined);
    Py_DECREF(rows);
    return items;
}

static bool convert(const cf_module_state *state, const char *owner, const cf_option *option,
                    PyObject *value, cf_py_setting *out) {
    const reader r = {state, owner, option};
    cf_setting_kind kind = kind_of(state, option, value);
    if (kind == CF_NONE) {
        out->holder = items_of(value);
        if (out->holder != NULL && option->kinds & CF_MATRIX)
            out->holder = join_rows(out->holder, option->kinds & CF_SQUARE, &out->setting.rows);
        if (out->holder == NULL && PyErr_Occurred())
            return false;
        if (out->holder != NULL)
            kind = kind_of_items(state, option, out->holder);
    } else if (kind == CF_OPTION_INT && stands_for_list(option)) {
        out->holder = PyTuple_Pack(1, value);
        kind = CF_OPTION_INTS;
        if (out->holder == NULL)
            return false;
    } else {
        out->holder = Py_NewRef(value);
    }
    if (!takes(option, kind))
        return refuse(owner, option, value, kind);
    /* Integers of any size where only numbers are wanted. */
    if (kind == CF_OPTION_INT && !(option->kinds & CF_OPTION_INT))
        kind = CF_OPTION_REAL;
    if (kind == CF_OPTION_INTS && !(option->kinds & CF_OPTION_INTS))
        kind = CF_OPTION_REALS;
    out->setting.kind = kind;
    if (kind == CF_OPTION_STRING)
        return read_string(value, out);
    if (item_of(kind) == kind)
        return read_items(&r, kind, &value, 1, out);
    return read_items(&r, item_of(kind), &PyTuple_GET_ITEM(out->holder, 0),
                      PyTuple_GET_SIZE(out->holder), out);
}

bool cf_py_setting_from(const cf_module_state *state, const char *owner, const cf_option *option,
                        PyObject *value, cf_py_setting *out) {
    *out = (cf_py_setting){0};
    if (value == Py_None && (option->kinds & CF_OPTIONAL))
        return true;
    bool done = convert(state, owner, option, value, out);
    if (!done)
        cf_py_setting_release(out);
    return done;
}

void cf_py_setting_release(cf_py_setting *setting) {
    Py_XDECREF(setting->holder);
    PyMem_Free(setting->memory);
    *setting = (cf_py_setting){0};
}

/* ---- to Python ---- */

static PyObject *item_value(const cf_module_state *state, const cf_setting *setting, size_t i) {
    switch (item_of(setting->kind)) {
    case CF_OPTION_BOOL:
        return PyBool_FromLong(setting->integers[i] != 0);
    case CF_OPTION_INT:
        return PyLong_FromLongLong(setting->integers[i]);
    case CF_OPTION_REAL:
        return PyFloat_FromDouble(setting->reals[i]);
    case CF_OPTION_STRING:
        return PyUnicode_FromString(setting->string);
    default:
        return cf_py_spec_wrap(state, setting->specs[i]);
    }
}

PyObject *cf_py_setting_value(const cf_module_state *state, const cf_setting *setting) {
    if (setting->kind == CF_NONE)
        return Py_NewRef(Py_None);
    if (item_of(setting->kind) == setting->kind)
        return item_value(state, setting, 0);
    PyObject *tuple = PyTuple_New((Py_ssize_t)setting->count);
    for (size_t i = 0; tuple != NULL && i < setting->count; i++) {
        PyObject *item = item_value(state, setting, i);
        if (item == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    }
    return tuple;
}

/* ---- comparing ---- */

static bool specs_equal(const cf_setting *a, const cf_setting *b) {
    for (size_t i = 0; i < a->count; i++)
        if (!cf_py_specs_equal(a->specs[i], b->specs[i]))
            return false;
    return true;
}

bool cf_py_settings_equal(const cf_setting *a, const cf_setting *b) {
    if (a->kind != b->kind || a->count != b->count)
        return false;
    switch (item_of(a->kind)) {
    case CF_NONE:
        return true;
    case CF_OPTION_STRING:
        return strcmp(a->string, b->string) == 0;
    case CF_OPTION_REAL:
        return a->count == 0 || memcmp(a->reals, b->reals, a->count * sizeof *a->reals) == 0;
    case CF_OPTION_SPEC:
        return specs_equal(a, b);
    default:
        return a->count == 0 ||
               memcmp(a->integers, b->integers, a->count * sizeof *a->integers) == 0;
    }
}
