#include "bindings/training_settings.h"

#include <string.h>

#include "bindings/arguments.h"

/* The place of `name` in a list that ends with NULL. */
static bool find_name(const char *what, const char *name, const char *const *names, int *out) {
    for (*out = 0; names[*out] != NULL; ++*out)
        if (strcmp(name, names[*out]) == 0)
            return true;
    PyErr_Format(PyExc_ValueError, "no %s is called '%.100s'", what, name);
    return false;
}

bool cf_py_read_optimizer(PyObject *tuple, cf_optimizer *out) {
    static const char *const names[] = {"adam", "adamw", "sgd", NULL};
    const char *name;
    int kind;
    if (!PyArg_ParseTuple(tuple, "sdddddd", &name, &out->learning_rate, &out->beta1, &out->beta2,
                          &out->epsilon, &out->momentum, &out->weight_decay) ||
        !find_name("optimizer", name, names, &kind))
        return false;
    out->kind = (cf_optimizer_kind)kind;
    return true;
}

bool cf_py_read_schedule(PyObject *tuple, cf_schedule *out) {
    static const char *const names[] = {"constant", "cosine", "plateau", NULL};
    const char *name;
    PyObject *warmup, *patience;
    int kind;
    if (!PyArg_ParseTuple(tuple, "sOddO", &name, &warmup, &out->final, &out->factor, &patience) ||
        !find_name("schedule", name, names, &kind) ||
        !cf_py_count(warmup, "warmup", INT64_MAX, &out->warmup) ||
        !cf_py_count(patience, "the plateau's patience", INT64_MAX, &out->patience))
        return false;
    out->kind = (cf_schedule_kind)kind;
    return true;
}
