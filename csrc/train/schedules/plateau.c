/* The rate falls when the loss does not. */
#include "train/schedules/schedule.h"

static double factor(const cf_spec *schedule, const cf_plateau *plateau, double passed) {
    (void)schedule;
    (void)passed;
    return plateau->factor;
}

static void observe(const cf_spec *schedule, cf_plateau *plateau, double loss) {
    if (cf_is_better(loss, plateau->best, cf_spec_real(schedule, "threshold"))) {
        plateau->best = loss;
        plateau->waited = 0;
    } else if (++plateau->waited >= (uint64_t)cf_spec_int(schedule, "patience")) {
        plateau->factor = fmax(plateau->factor * cf_spec_real(schedule, "factor"),
                               cf_spec_real(schedule, "final"));
        plateau->waited = 0;
    }
}

static const cf_schedule_methods methods = {.factor = factor, .observe = observe};

static const cf_option options[] = {
    {.name = "factor",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.5),
     .range = &(const cf_range){0.0, 1.0, true, true},
     .doc = "What the rate is multiplied by."},
    {.name = "patience",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(10),
     .range = &(const cf_range){1.0, INFINITY, false, true},
     .doc = "Epochs without a better loss before that."},
    CF_WARMUP,
    {.name = "final",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .range = &(const cf_range){0.0, 1.0, false, false},
     .doc = "The rate does not fall below so much of the full one."},
    {.name = "threshold",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1e-4),
     .range = &(const cf_range){0.0, 1.0, false, true},
     .doc = "A loss is better if it is below ``best - threshold |best|``."},
};

const cf_spec_type cf_plateau_type = {
    .name = "Plateau",
    .role = "schedule",
    .doc =
        "The rate falls when the loss does not: the validation loss, or without it the training "
        "loss.\n\n"
        "As torch.optim.lr_scheduler.ReduceLROnPlateau, whose relative mode is meant for losses\n"
        "above 0; log-densities have any sign.\n\n"
        "Examples\n--------\n"
        ">>> import cflows as cf\n"
        ">>> cf.Plateau(factor=0.1, patience=5)\n"
        "Plateau(factor=0.1, patience=5)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
