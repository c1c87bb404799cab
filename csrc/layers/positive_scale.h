/* How a conditioner's unconstrained output becomes the logarithm of a positive scale. */
#ifndef CF_LAYERS_POSITIVE_SCALE_H
#define CF_LAYERS_POSITIVE_SCALE_H

#include "base/spec.h"
#include "engine/program.h"

/* log(scale) of the unconstrained output by the given Scale spec. */
cf_value cf_log_scale(cf_builder *b, const cf_spec *scale, cf_value a);

/* *out = `setting` itself if it is a spec, else a new Scale of the form it names; to be released.
 */
cf_status cf_positive_scale_spec(const cf_setting *setting, cf_spec **out);

/* The unconstrained parameter whose scale is 1, where layers start; fails if there is none. */
cf_status cf_positive_scale_param_of_one(const cf_spec *scale, double *a);

extern const char *const cf_positive_scale_forms[];

extern const cf_spec_type cf_positive_scale_type;

#endif
