/* The same rate throughout. */
#include "train/schedules/schedule.h"

static const cf_schedule_methods methods = {.factor = NULL};

static const cf_option options[] = {CF_WARMUP};

const cf_spec_type cf_constant_type = {
    .name = "Constant",
    .role = "schedule",
    .doc = "The same rate throughout, after a linear warm-up.\n\n"
           "Examples\n--------\n"
           ">>> import cflows as cf\n"
           ">>> cf.Constant(warmup=100)\n"
           "Constant(warmup=100)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
