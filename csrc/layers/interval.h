/* Intervals given by the options `low` and `high`: of sigmoids, and of circles, whose ends are the
 * same point. */
#ifndef CF_LAYERS_INTERVAL_H
#define CF_LAYERS_INTERVAL_H

#include "base/spec.h"
#include "engine/program.h"

/* The options of a circle: angles in radians by default. */
#define CF_CIRCLE_OPTIONS                                                                          \
    {.name = "low",                                                                                \
     .kinds = CF_OPTION_REAL,                                                                      \
     .default_value = CF_DEFAULT_REAL(-3.141592653589793),                                         \
     .doc = "Where the circle begins."},                                                           \
    {                                                                                              \
        .name = "high", .kinds = CF_OPTION_REAL,                                                   \
        .default_value = CF_DEFAULT_REAL(3.141592653589793),                                       \
        .doc = "Where it ends: the same point."                                                    \
    }

/* CF_INVALID unless low is below high, by a finite distance. */
cf_status cf_interval_check(const cf_spec *spec);

/* x less whole turns: low <= out < high. */
cf_value cf_wrap_to_interval(cf_builder *b, const cf_spec *spec, cf_value x);

#endif
