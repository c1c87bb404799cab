#include "dist/location_scale.h"

#include <math.h>

#include "ops/ops.h"

enum { LOC, LOG_SCALE };

static const cf_number_kinds loc_scale = {2,
                                          (const cf_number_kind[]){
                                              {"loc", "loc", 0.0, false},
                                              {"scale", "log_scale", 1.0, true},
                                          },
                                          "loc_scale"};

cf_status cf_location_scale_bind(cf_location_scale *out, cf_base *base, cf_binding *binding) {
    return cf_numbers_bind(&out->numbers, &loc_scale, base, binding);
}

cf_value cf_location_scale_remove(const cf_location_scale *given, const cf_base *base,
                                  cf_builder *b, cf_value u, cf_value context, cf_value *log_det) {
    const cf_numbers *numbers = &given->numbers;
    cf_value value[2];
    *log_det = CF_NO_VALUE;
    if (numbers->standard)
        return u;
    if (cf_numbers_are_given(numbers)) {
        *log_det = cf_fixed_affine_log_det(b, numbers->buffer, base->features);
        return cf_fixed_affine(b, u, numbers->buffer, true);
    }
    cf_numbers_emit(numbers, base, b, context, value);
    *log_det = cf_sum_features(b, value[LOG_SCALE]);
    return cf_multiply(b, cf_subtract(b, u, value[LOC]),
                       cf_exp(b, cf_scale_shift(b, value[LOG_SCALE], -1.0, 0.0)));
}

cf_value cf_location_scale_apply(const cf_location_scale *given, const cf_base *base, cf_builder *b,
                                 cf_value z, cf_value context) {
    cf_value value[2];
    if (given->numbers.standard)
        return z;
    if (cf_numbers_are_given(&given->numbers))
        return cf_fixed_affine(b, z, given->numbers.buffer, false);
    cf_numbers_emit(&given->numbers, base, b, context, value);
    return cf_add(b, cf_multiply(b, z, cf_exp(b, value[LOG_SCALE])), value[LOC]);
}

cf_components cf_location_scale_components(const cf_base *base, cf_builder *b, cf_value context) {
    const cf_location_scale *given = base->state;
    cf_value value[2];
    if (given->numbers.standard)
        return (cf_components){0};
    cf_numbers_emit(&given->numbers, base, b, context, value);
    return (cf_components){.loc = value[LOC], .log_scale = value[LOG_SCALE]};
}

cf_status cf_location_scale_check(const cf_spec *spec) {
    return cf_numbers_check(spec, &loc_scale);
}
