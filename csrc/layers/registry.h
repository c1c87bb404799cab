/* All types that a flow can be built from. */
#ifndef CF_LAYERS_REGISTRY_H
#define CF_LAYERS_REGISTRY_H

#include "base/spec.h"

/* NULL-terminated, in the order in which they are documented. */
extern const cf_spec_type *const cf_spec_types[];

/* The present name of a type that version 0.1.0 called otherwise; any other name as it is. */
const char *cf_present_type_name(const char *name);

/* The type of that name, or of that former name, or NULL. */
const cf_spec_type *cf_spec_type_named(const char *name);

#endif
