/* Learning-rate schedules: a factor on the optimiser's rates.
 *
 * A schedule is a spec of the role "schedule" with the option `warmup`; its type is in a file of
 * its own, with the methods below, and in train/type_list.h.
 */
#ifndef CF_TRAIN_SCHEDULES_SCHEDULE_H
#define CF_TRAIN_SCHEDULES_SCHEDULE_H

#include <math.h>

#include "base/spec.h"

/* What a schedule that follows the losses remembers; part of a trainer's state. */
typedef struct {
    double best, factor; /* the lowest loss; what the rate is multiplied by */
    uint64_t waited;     /* epochs since the best one, or since the rate was lowered */
} cf_plateau;

/* Before any loss. */
static inline cf_plateau cf_plateau_start(void) {
    return (cf_plateau){.best = INFINITY, .factor = 1.0};
}

/* Whether `loss` is below `best` by more than `threshold` times its size: 0 takes any improvement.
 * NaN is never better; anything else is better than infinity, which stands for no loss yet. */
static inline bool cf_is_better(double loss, double best, double threshold) {
    return isinf(best) ? loss < best : loss < best - threshold * fabs(best);
}

/* CF_TYPE unless it is a schedule. */
cf_status cf_schedule_check(const cf_spec *schedule);

/* The factor of step number `step`, from 0, of `steps` in all. */
double cf_schedule_factor(const cf_spec *schedule, const cf_plateau *plateau, uint64_t step,
                          uint64_t steps);

/* Whether it follows the losses of epochs; cf_schedule_observe tells it one. */
bool cf_schedule_observes(const cf_spec *schedule);
void cf_schedule_observe(const cf_spec *schedule, cf_plateau *plateau, double loss);

/* ---- for schedules ---- */

typedef struct {
    /* The factor when `passed`, from 0 to 1, of the steps after the warm-up are over; NULL: 1. */
    double (*factor)(const cf_spec *schedule, const cf_plateau *plateau, double passed);
    void (*observe)(const cf_spec *schedule, cf_plateau *plateau, double loss); /* or NULL */
} cf_schedule_methods;

#define CF_WARMUP                                                                                  \
    {                                                                                              \
        .name = "warmup", .kinds = CF_OPTION_INT, .default_value = CF_DEFAULT_INT(0),              \
        .range = &(const cf_range){0.0, INFINITY, false, true},                                    \
        .doc = "Steps over which the rate rises linearly to the full one."                         \
    }

extern const cf_spec_type cf_cosine_type;

#endif
