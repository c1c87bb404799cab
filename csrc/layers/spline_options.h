/* What the transforms that are splines share: lines of their tables of options, their check, and
 * their methods. */
#ifndef CF_LAYERS_SPLINE_OPTIONS_H
#define CF_LAYERS_SPLINE_OPTIONS_H

#include "layers/transform.h"
#include "ops/spline.h"

extern const cf_transform_methods cf_spline_methods;

/* Fails if the options below do not go together. A spline without slopes has no minimum_slope. */
cf_status cf_spline_check(const cf_spec *spec);

#define CF_SPLINE_PLACE_OPTIONS                                                                    \
    {.name = "bins",                                                                               \
     .kinds = CF_OPTION_INT,                                                                       \
     .default_value = CF_DEFAULT_INT(8),                                                           \
     .doc = "Pieces of the spline, from 1 to 128."},                                               \
        {.name = "bound",                                                                          \
         .kinds = CF_OPTION_REAL,                                                                  \
         .default_value = CF_DEFAULT_REAL(3.0),                                                    \
         .doc = "The spline maps [-bound, bound] to itself."},                                     \
    {                                                                                              \
        .name = "box", .kinds = CF_OPTION_REALS | CF_OPTIONAL, .default_value = CF_DEFAULT_NONE,   \
        .doc = "The interval (low, high) instead of [-bound, bound]."                              \
    }

#define CF_SPLINE_MINIMUM_BIN(text)                                                                \
    {                                                                                              \
        .name = "minimum_bin", .kinds = CF_OPTION_REAL, .default_value = CF_DEFAULT_REAL(1e-3),    \
        .doc = text                                                                                \
    }

#define CF_SPLINE_MINIMUM_SLOPE(text)                                                              \
    {                                                                                              \
        .name = "minimum_slope", .kinds = CF_OPTION_REAL, .default_value = CF_DEFAULT_REAL(1e-3),  \
        .doc = text                                                                                \
    }

#define CF_SPLINE_FACTOR(text)                                                                     \
    {                                                                                              \
        .name = "factor", .kinds = CF_OPTION_REAL, .default_value = CF_DEFAULT_REAL(1.0),          \
        .doc = text                                                                                \
    }

#endif
