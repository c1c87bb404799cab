/* Options of specs: Python values to settings and back. */
#ifndef CF_BINDINGS_SETTINGS_H
#define CF_BINDINGS_SETTINGS_H

#include "bindings/module.h"
#include "base/spec.h"

/* A setting and what it refers to. {0} holds nothing. */
typedef struct {
    cf_setting setting;
    PyObject *holder; /* keeps strings and specs alive */
    void *memory;
} cf_py_setting;

/* Converts `value` strictly: no float is taken for an int, no int for a bool. TypeError if it is of
 * no kind that the option takes; `owner` begins the message. */
bool cf_py_setting_from(const cf_module_state *state, const char *owner, const cf_option *option,
                        PyObject *value, cf_py_setting *out);

void cf_py_setting_release(cf_py_setting *setting);

/* The Python value of a setting: None, bool, int, float, str, a spec, or a tuple of these. */
PyObject *cf_py_setting_value(const cf_module_state *state, const cf_setting *setting);

/* Whether two settings have the same value; specs are compared by theirs. */
bool cf_py_settings_equal(const cf_setting *a, const cf_setting *b);

#endif
