/* The map y = s + p tanh(s) of numbers, p > -1, to which the inverses of planar and Sylvester flows
 * come down. It is given by p and by c = 1 + p, its slope at 0, which says more where p is near -1:
 * the slope, tanh(s)^2 + c / cosh(s)^2, is a sum of positive terms. */
#ifndef CF_LAYERS_TANH_MAP_H
#define CF_LAYERS_TANH_MAP_H

#include "engine/program.h"

typedef struct {
    cf_value p, c;
} cf_tanh_map;

/* log(dy/ds), feature by feature. */
cf_value cf_tanh_map_log_slope(cf_builder *b, const cf_tanh_map *map, cf_value s);

/* s of y. */
cf_value cf_tanh_map_root(cf_builder *b, const cf_tanh_map *map, cf_value y);

#endif
