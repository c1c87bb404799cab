#include "train/schedules/schedule.h"

#include <string.h>

static const cf_schedule_methods *methods_of(const cf_spec *schedule) {
    return cf_spec_type_of(schedule)->methods;
}

cf_status cf_schedule_check(const cf_spec *schedule) {
    const cf_spec_type *type = cf_spec_type_of(schedule);
    if (strcmp(type->role, "schedule") == 0)
        return cf_spec_check_finished(schedule);
    return cf_fail(CF_TYPE, "schedule must be of the role schedule, got %s of the role %s",
                   type->name, type->role);
}

double cf_schedule_factor(const cf_spec *schedule, const cf_plateau *plateau, uint64_t step,
                          uint64_t steps) {
    uint64_t warmup = (uint64_t)cf_spec_int(schedule, "warmup");
    const cf_schedule_methods *methods = methods_of(schedule);
    if (step < warmup)
        return (double)(step + 1) / (double)warmup;
    if (methods->factor == NULL)
        return 1.0;
    double passed = steps > warmup ? (double)(step - warmup) / (double)(steps - warmup) : 0.0;
    return methods->factor(schedule, plateau, fmin(passed, 1.0));
}

bool cf_schedule_observes(const cf_spec *schedule) {
    return methods_of(schedule)->observe != NULL;
}

void cf_schedule_observe(const cf_spec *schedule, cf_plateau *plateau, double loss) {
    if (cf_schedule_observes(schedule))
        methods_of(schedule)->observe(schedule, plateau, loss);
}
