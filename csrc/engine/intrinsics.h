/* The few ops that the engine itself emits: to add up and to complete cotangents. csrc/ops defines
 * them like all others. */
#ifndef CF_ENGINE_INTRINSICS_H
#define CF_ENGINE_INTRINSICS_H

#include "engine/program.h"

/* a + b, feature by feature. */
cf_value cf_add(cf_builder *b, cf_value x, cf_value y);

/* The sum over all features: one feature. */
cf_value cf_sum_features(cf_builder *b, cf_value x);

/* The sums of groups of neighbouring features, `groups` of one size. */
cf_value cf_sum_groups(cf_builder *b, cf_value x, size_t groups);

/* `size` features that are `number` everywhere. */
cf_value cf_constant(cf_builder *b, cf_kind kind, size_t size, double number);

/* A node of its own with the features of x. */
cf_value cf_copy(cf_builder *b, cf_value x);

/* x where `remaining`, one feature, is above 0, else 0; without a gradient. */
cf_value cf_where_remaining(cf_builder *b, cf_value remaining, cf_value x);

/* NaN where `failed`, one feature, is above 0, else x; without a gradient. */
cf_value cf_nan_where_failed(cf_builder *b, cf_value failed, cf_value x);

/* Features [first, first + count) of the states, `features` in all, before iteration `remaining` -
 * 1 of each sample: `tape` holds those of all iterations. Without a gradient. */
cf_value cf_read_tape(cf_builder *b, cf_value tape, cf_value remaining, size_t features,
                      size_t first, size_t count);

#endif
