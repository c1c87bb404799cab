#include "layers/monotone.h"

#include "ops/root.h"

/* What the root's function is given: the map, whose context lives with the builder. */
static void evaluate(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    const cf_monotone *map = context;
    cf_value log_slope;
    (void)unfinished;
    map->function(b, map->context, x, value, &log_slope);
    *slope = cf_exp(b, log_slope);
}

/* The gradient of the log_det is that of the formula at the root, and goes on through the root. */
static cf_value solve_for(cf_builder *b, const cf_monotone *map, cf_value y, cf_value *log_slope) {
    cf_monotone kept = *map;
    kept.context = cf_builder_keep(b, map->context, map->context_size);
    cf_root_spec root = {.function = evaluate,
                         .context = &kept,
                         .context_size = sizeof kept,
                         .target = y,
                         .low = map->low,
                         .high = map->high,
                         .start = map->start,
                         .noise = map->noise};
    cf_value x = cf_root(b, &root, NULL), again;
    map->function(b, map->context, x, &again, log_slope);
    *log_slope = cf_scale_shift(b, *log_slope, -1.0, 0.0);
    return x;
}

cf_value cf_monotone_apply(cf_builder *b, const cf_monotone *map, cf_value x, bool solve,
                           cf_value *log_det) {
    cf_value out, log_slope;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (solve)
        out = solve_for(b, map, x, &log_slope);
    else
        map->function(b, map->context, x, &out, &log_slope);
    *log_det = cf_sum_features(b, log_slope);
    return out;
}
