#include "train/schedule.h"

#include <math.h>

cf_status cf_schedule_check(const cf_schedule *s) {
    if (!(s->final >= 0.0 && s->final <= 1.0))
        return cf_fail(CF_INVALID, "the schedule's final factor must be from 0 to 1, got %g",
                       s->final);
    if (s->kind == CF_SCHEDULE_PLATEAU && !(s->factor > 0.0 && s->factor < 1.0))
        return cf_fail(CF_INVALID, "the plateau's factor must be between 0 and 1, got %g",
                       s->factor);
    if (s->kind == CF_SCHEDULE_PLATEAU && s->patience < 1)
        return cf_fail(CF_INVALID, "the plateau's patience must be at least 1 epoch");
    return CF_OK;
}

double cf_schedule_factor(const cf_schedule *s, const cf_plateau *plateau, uint64_t step,
                          uint64_t steps) {
    if (step < s->warmup)
        return (double)(step + 1) / (double)s->warmup;
    if (s->kind == CF_SCHEDULE_PLATEAU)
        return plateau->factor;
    if (s->kind == CF_SCHEDULE_CONSTANT || steps <= s->warmup)
        return 1.0;
    double passed = (double)(step - s->warmup) / (double)(steps - s->warmup);
    double wave = 0.5 * (1.0 + cos(3.14159265358979323846 * fmin(passed, 1.0)));
    return s->final + (1.0 - s->final) * wave;
}

void cf_schedule_observe(const cf_schedule *s, cf_plateau *plateau, double loss) {
    if (s->kind != CF_SCHEDULE_PLATEAU)
        return;
    if (loss < plateau->best) {
        plateau->best = loss;
        plateau->waited = 0;
    } else if (++plateau->waited >= s->patience) {
        plateau->factor = fmax(plateau->factor * s->factor, s->final);
        plateau->waited = 0;
    }
}
