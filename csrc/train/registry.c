#include "train/registry.h"

#include <stddef.h>

#define CF_TYPE(name) extern const cf_spec_type cf_##name##_type;
#include "train/type_list.h"
#undef CF_TYPE

const cf_spec_type *const cf_training_types[] = {
#define CF_TYPE(name) &cf_##name##_type,
#include "train/type_list.h"
#undef CF_TYPE
    NULL,
};
