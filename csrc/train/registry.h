/* All optimisers and schedules. */
#ifndef CF_TRAIN_REGISTRY_H
#define CF_TRAIN_REGISTRY_H

#include "base/spec.h"

/* NULL-terminated, in the order in which they are documented. */
extern const cf_spec_type *const cf_training_types[];

#endif
