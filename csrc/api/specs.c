/* Specs by the names of their types. */
#include <string.h>

#include "base/spec.h"
#include "layers/registry.h"
#include "train/registry.h"

static const cf_spec_type *find_type(const char *name) {
    const cf_spec_type *const *type = cf_training_types;
    while (*type != NULL && strcmp((*type)->name, name) != 0)
        type++;
    return *type != NULL ? *type : cf_spec_type_named(name);
}

cf_status cf_spec_new_named(cf_spec **out, const char *name) {
    const cf_spec_type *type = find_type(name);
    *out = NULL;
    if (type == NULL)
        return cf_fail(CF_INVALID,
                       "there is no type called '%.60s': types have the names of the classes in "
                       "Python, such as Coupling",
                       name);
    return cf_spec_new(out, type);
}
