/* A transform that follows a shift of the features on a circle. */
#include "layers/interval.h"
#include "layers/transform.h"
#include "ops/ops.h"

static const cf_spec *inner(const cf_spec *shifted) {
    return cf_spec_spec(shifted, "transform");
}

static size_t param_count(const cf_spec *shifted) {
    return cf_transform_methods_of(inner(shifted))->param_count(inner(shifted));
}

static double start(const cf_spec *shifted, int64_t feature, size_t param) {
    const cf_transform_methods *methods = cf_transform_methods_of(inner(shifted));
    return methods->start != NULL ? methods->start(inner(shifted), feature, param) : 0.0;
}

static cf_value shift(const cf_spec *spec, cf_builder *b, cf_value x, double sign) {
    x = cf_scale_shift(b, x, 1.0, sign * cf_spec_real(spec, "shift"));
    return cf_wrap_to_interval(b, spec, x);
}

/* The state is the inner transform. */
static cf_status bind(cf_transform *shifted, cf_binding *binding, cf_features transformed) {
    cf_transform *own;
    CF_TRY(cf_arena_alloc(binding->arena, &own, 1, sizeof *own));
    shifted->state = own;
    return cf_transform_bind(own, inner(shifted->spec), binding, transformed);
}

static cf_value apply(const cf_transform *shifted, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    if (!inverse)
        u = shift(shifted->spec, b, u, 1.0);
    cf_value x = cf_transform_apply(shifted->state, b, u, params, features, inverse, log_det);
    return inverse ? shift(shifted->spec, b, x, -1.0) : x;
}

static cf_status check_features(const cf_spec *shifted, size_t features) {
    const cf_transform_methods *methods = cf_transform_methods_of(inner(shifted));
    return methods->check_features != NULL ? methods->check_features(inner(shifted), features)
                                           : CF_OK;
}

/* No period: networks read the features as they are. */
static const cf_transform_methods methods = {.param_count = param_count,
                                             .apply = apply,
                                             .start = start,
                                             .check_features = check_features,
                                             .bind = bind};

static const cf_option options[] = {
    {.name = "transform",
     .kinds = CF_OPTION_SPEC,
     .required = true,
     .spec_role = "transform",
     .doc = "What follows the shift; it should map the interval to itself."},
    {.name = "shift",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(3.141592653589793),
     .doc = "By how much features are shifted, forward."},
    CF_CIRCLE_OPTIONS,
};

const cf_spec_type cf_shifted_transform_type = {
    .name = "ShiftedTransform",
    .role = "transform",
    .doc = "A transform of features shifted on a circle before it.\n\n"
           "``x = transform(low + (u + shift - low) mod (high - low))``. Splines with linear tails "
           "keep their\n"
           "ends fixed with slope 1; half a turn between two of them lets every point of a circle "
           "move (so zuko's\n"
           "neural circular spline flow). Networks read such features as they are; with circular "
           "splines and\n"
           "`CircularShift` layers they read cosine and sine.\n\n"
           "References\n----------\n"
           "Rezende et al. 2020, Normalizing flows on tori and spheres, arXiv:2002.02428.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_interval_check,
    .methods = &methods,
};
