#include "train/registry.h"

#include <stddef.h>

#include "train/optimizers/optimizer.h"
#include "train/schedules/schedule.h"

const cf_spec_type *const cf_training_types[] = {
    /* optimisers */
    &cf_adam_type,
    &cf_adamw_type,
    &cf_radam_type,
    &cf_sgd_type,
    &cf_lion_type,
    &cf_muon_type,
    /* schedules */
    &cf_constant_type,
    &cf_cosine_type,
    &cf_plateau_type,
    NULL,
};
