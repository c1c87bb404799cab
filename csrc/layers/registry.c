#include "layers/registry.h"

#include <string.h>

#define CF_TYPE(name) extern const cf_spec_type cf_##name##_type;
#include "layers/type_list.h"
#undef CF_TYPE

const cf_spec_type *const cf_spec_types[] = {
#define CF_TYPE(name) &cf_##name##_type,
#include "layers/type_list.h"
#undef CF_TYPE
    NULL,
};

const char *cf_present_type_name(const char *name) {
    static const char *const former[][2] = {
        {"Partial", "OnFeatures"},
        {"TurnedTransform", "ShiftedTransform"},
    };
    for (size_t i = 0; i < sizeof former / sizeof *former; i++)
        if (strcmp(former[i][0], name) == 0)
            return former[i][1];
    return name;
}

const cf_spec_type *cf_spec_type_named(const char *name) {
    name = cf_present_type_name(name);
    for (size_t i = 0; cf_spec_types[i] != NULL; i++)
        if (strcmp(cf_spec_types[i]->name, name) == 0)
            return cf_spec_types[i];
    return NULL;
}
