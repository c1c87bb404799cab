/* Learning-rate schedules: a factor on the optimiser's rate. */
#ifndef CF_TRAIN_SCHEDULE_H
#define CF_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum { CF_SCHEDULE_CONSTANT, CF_SCHEDULE_COSINE, CF_SCHEDULE_PLATEAU } cf_schedule_kind;

typedef struct {
    cf_schedule_kind kind;
    uint64_t warmup;   /* steps over which the factor rises linearly to 1 */
    double final;      /* cosine: the factor that the last step comes near; plateau: the least */
    double factor;     /* plateau: by which the rate is multiplied */
    uint64_t patience; /* plateau: epochs without improvement before that */
} cf_schedule;

/* What a plateau schedule remembers; part of the trainer's state. */
typedef struct {
    double best, factor;
    uint64_t waited;
} cf_plateau;

cf_status cf_schedule_check(const cf_schedule *schedule);

/* The factor of step number `step`, from 0, of `steps` in all. */
double cf_schedule_factor(const cf_schedule *schedule, const cf_plateau *plateau, uint64_t step,
                          uint64_t steps);

/* Tells a plateau schedule the loss of an epoch. */
void cf_schedule_observe(const cf_schedule *schedule, cf_plateau *plateau, double loss);

#endif
