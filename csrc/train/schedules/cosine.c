/* Half a cosine wave: Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5. */
#include "train/schedules/schedule.h"

static double factor(const cf_spec *schedule, const cf_plateau *plateau, double passed) {
    double final = cf_spec_real(schedule, "final");
    double wave = 0.5 * (1.0 + cos(3.14159265358979323846 * passed));
    (void)plateau;
    return final + (1.0 - final) * wave;
}

static const cf_schedule_methods methods = {.factor = factor};

static const cf_option options[] = {
    CF_WARMUP,
    {.name = "final",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .range = &(const cf_range){0.0, 1.0, false, false},
     .doc = "What the rate is multiplied by in the end."},
};

const cf_spec_type cf_cosine_type = {
    .name = "Cosine",
    .role = "schedule",
    .doc = "Half a cosine wave from the full rate down to `final` times it, after a linear "
           "warm-up.\n\n"
           "References\n----------\n"
           "Loshchilov and Hutter 2017, SGDR: stochastic gradient descent with warm restarts,\n"
           "arXiv:1608.03983, equation 5, without restarts.\n\n"
           "Examples\n--------\n"
           ">>> import cflows as cf\n"
           ">>> cf.Cosine(final=0.01)\n"
           "Cosine(final=0.01)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
