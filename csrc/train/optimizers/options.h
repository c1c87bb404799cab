/* Options that several optimisers have, for their tables. */
#ifndef CF_TRAIN_OPTIMIZERS_OPTIONS_H
#define CF_TRAIN_OPTIMIZERS_OPTIONS_H

#include <math.h>

#include "base/spec.h"

#define CF_RANGE_POSITIVE                                                                          \
    &(const cf_range) {                                                                            \
        0.0, INFINITY, true, true                                                                  \
    }
#define CF_RANGE_NOT_NEGATIVE                                                                      \
    &(const cf_range) {                                                                            \
        0.0, INFINITY, false, true                                                                 \
    }
#define CF_RANGE_BELOW_ONE                                                                         \
    &(const cf_range) {                                                                            \
        0.0, 1.0, false, true                                                                      \
    }

/* A real of that name, default, range and text. */
#define CF_REAL_OPTION(option, value, bounds, text)                                                \
    {                                                                                              \
        .name = option, .kinds = CF_OPTION_REAL, .default_value = CF_DEFAULT_REAL(value),          \
        .range = bounds, .doc = text                                                               \
    }

#define CF_LEARNING_RATE(value)                                                                    \
    CF_REAL_OPTION("learning_rate", value, CF_RANGE_POSITIVE,                                      \
                   "The size of a step; the schedule multiplies it.")
#define CF_MOMENTUM(value)                                                                         \
    CF_REAL_OPTION("momentum", value, CF_RANGE_BELOW_ONE,                                          \
                   "The part of the mean gradient that a step keeps.")
#define CF_BETA1(value)                                                                            \
    CF_REAL_OPTION("beta1", value, CF_RANGE_BELOW_ONE,                                             \
                   "The part of the mean gradient that a step keeps.")
#define CF_BETA2(value)                                                                            \
    CF_REAL_OPTION("beta2", value, CF_RANGE_BELOW_ONE,                                             \
                   "The part of the mean squared gradient that a step keeps.")
#define CF_EPSILON(value)                                                                          \
    CF_REAL_OPTION("epsilon", value, CF_RANGE_POSITIVE,                                            \
                   "Added to the root of the mean squared gradient.")
#define CF_WEIGHT_DECAY(value)                                                                     \
    CF_REAL_OPTION("weight_decay", value, CF_RANGE_NOT_NEGATIVE,                                   \
                   "This times the parameter is added to its gradient.")
#define CF_DECOUPLED_WEIGHT_DECAY(value)                                                           \
    CF_REAL_OPTION("weight_decay", value, CF_RANGE_NOT_NEGATIVE,                                   \
                   "Times the learning rate, the part by which each step shrinks a parameter.")

#endif
