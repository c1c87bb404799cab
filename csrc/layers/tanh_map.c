#include "layers/tanh_map.h"

#include "ops/ops.h"
#include "ops/root.h"

/* 1 / cosh(s)^2 as 4 sigmoid(2 s) sigmoid(-2 s), to rounding far out too. */
static cf_value slope(cf_builder *b, const cf_tanh_map *map, cf_value s, cf_value tanh_s) {
    cf_value rises = cf_sigmoid(b, cf_scale_shift(b, s, 2.0, 0.0));
    cf_value falls = cf_sigmoid(b, cf_scale_shift(b, s, -2.0, 0.0));
    cf_value bell = cf_scale_shift(b, cf_multiply(b, rises, falls), 4.0, 0.0);
    return cf_add(b, cf_multiply(b, tanh_s, tanh_s), cf_multiply(b, map->c, bell));
}

cf_value cf_tanh_map_log_slope(cf_builder *b, const cf_tanh_map *map, cf_value s) {
    return cf_log(b, slope(b, map, s, cf_tanh(b, s)));
}

static void evaluate(cf_builder *b, const void *context, cf_value s, cf_value unfinished,
                     cf_value *value, cf_value *ds) {
    const cf_tanh_map *map = context;
    cf_value tanh_s = cf_tanh(b, s);
    (void)unfinished;
    *value = cf_add(b, s, cf_multiply(b, map->p, tanh_s));
    *ds = slope(b, map, s, tanh_s);
}

/* |s - y| <= |p|; y - p tanh(y / c) is the root where y is small, and where it is large. */
cf_value cf_tanh_map_root(cf_builder *b, const cf_tanh_map *map, cf_value y) {
    cf_value reach = cf_abs(b, map->p);
    cf_value tanh_s = cf_tanh(b, cf_divide(b, y, map->c));
    cf_root_spec spec = {.function = evaluate,
                         .context = map,
                         .context_size = sizeof *map,
                         .target = y,
                         .low = cf_subtract(b, y, reach),
                         .high = cf_add(b, y, reach),
                         .start = cf_subtract(b, y, cf_multiply(b, map->p, tanh_s))};
    return cf_root(b, &spec, NULL);
}
