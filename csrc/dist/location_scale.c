#include "dist/location_scale.h"

#include <math.h>

#include "base/memory.h"
#include "ops/ops.h"

static const char *name_of(const cf_spec *spec) {
    return cf_spec_type_of(spec)->name;
}

/* loc and scale as the options give them, one number standing for all features: 2 x features
 * numbers. */
static cf_status fill(const cf_base *base, double *values) {
    const char *names[2] = {"loc", "scale"};
    for (int k = 0; k < 2; k++) {
        const cf_setting *setting = cf_spec_get(base->spec, names[k]);
        if (setting->kind != CF_NONE && setting->count != 1 && setting->count != base->features)
            return cf_fail(CF_INVALID, "%s: %s has %zu numbers, the flow has %zu features",
                           name_of(base->spec), names[k], setting->count, base->features);
        for (size_t f = 0; f < base->features; f++) {
            double default_value = k == 0 ? 0.0 : 1.0;
            values[(size_t)k * base->features + f] =
                setting->kind == CF_NONE ? default_value
                                         : setting->reals[setting->count == 1 ? 0 : f];
        }
    }
    return CF_OK;
}

static cf_status bind_values(cf_location_scale *out, cf_base *base, cf_binding *binding,
                             double *values) {
    size_t n = base->features;
    CF_TRY(fill(base, values));
    if (!out->learned)
        return cf_bind_buffer(binding, "loc_scale", 2 * n, values, &out->buffers);
    for (size_t f = 0; f < n; f++)
        values[n + f] = log(values[n + f]);
    CF_TRY(cf_bind_parameter_values(binding, "loc", n, values, &out->loc));
    return cf_bind_parameter_values(binding, "log_scale", n, values + n, &out->log_scale);
}

cf_status cf_location_scale_bind(cf_location_scale *out, cf_base *base, cf_binding *binding) {
    const cf_spec *conditioner = cf_spec_spec(base->spec, "conditioner");
    double *values;
    *out = (cf_location_scale){.learned = cf_spec_int(base->spec, "learned") != 0,
                               .conditional = conditioner != NULL};
    if (out->conditional && base->context == 0)
        return cf_fail(CF_INVALID, "%s: a conditioner reads the context, and the flow has none",
                       name_of(base->spec));
    if (out->conditional)
        return cf_conditioner_bind(&out->conditioner, conditioner, binding, "conditioner",
                                   (cf_conditioner_sizes){.context = cf_vector(base->context),
                                                          .outputs = 2 * base->features,
                                                          .groups = 1},
                                   true);
    out->standard = !out->learned && cf_spec_get(base->spec, "loc")->kind == CF_NONE &&
                    cf_spec_get(base->spec, "scale")->kind == CF_NONE;
    if (out->standard)
        return CF_OK;
    CF_TRY(cf_alloc(&values, 2 * base->features, sizeof *values));
    cf_status status = bind_values(out, base, binding, values);
    cf_free(values);
    return status;
}

/* loc and log(scale), learned or conditional. */
static void emit_values(const cf_location_scale *given, const cf_base *base, cf_builder *b,
                        cf_value context, cf_value *loc, cf_value *log_scale) {
    size_t n = base->features;
    if (given->learned) {
        *loc = cf_parameter(b, given->loc, n);
        *log_scale = cf_parameter(b, given->log_scale, n);
        return;
    }
    cf_value params = cf_conditioner_emit(&given->conditioner, b, CF_NO_VALUE, context);
    *loc = cf_slice(b, params, 0, n);
    *log_scale = cf_slice(b, params, n, n);
}

cf_value cf_location_scale_remove(const cf_location_scale *given, const cf_base *base,
                                  cf_builder *b, cf_value u, cf_value context, cf_value *log_det) {
    cf_value loc, log_scale;
    *log_det = CF_NO_VALUE;
    if (given->standard)
        return u;
    if (!given->learned && !given->conditional) {
        *log_det = cf_fixed_affine_log_det(b, given->buffers, base->features);
        return cf_fixed_affine(b, u, given->buffers, true);
    }
    emit_values(given, base, b, context, &loc, &log_scale);
    *log_det = cf_sum_features(b, log_scale);
    return cf_multiply(b, cf_subtract(b, u, loc),
                       cf_exp(b, cf_scale_shift(b, log_scale, -1.0, 0.0)));
}

cf_value cf_location_scale_apply(const cf_location_scale *given, const cf_base *base, cf_builder *b,
                                 cf_value z, cf_value context) {
    cf_value loc, log_scale;
    if (given->standard)
        return z;
    if (!given->learned && !given->conditional)
        return cf_fixed_affine(b, z, given->buffers, false);
    emit_values(given, base, b, context, &loc, &log_scale);
    return cf_add(b, cf_multiply(b, z, cf_exp(b, log_scale)), loc);
}

/* The number that an option gives, or a default. */
static double first_of(const cf_base *base, const char *option, double default_value) {
    const cf_setting *setting = cf_spec_get(base->spec, option);
    return setting->kind == CF_NONE ? default_value : setting->reals[0];
}

cf_components cf_location_scale_components(const cf_base *base, cf_builder *b, cf_value context) {
    const cf_location_scale *given = base->state;
    cf_components one = {0};
    if (given->learned || given->conditional) {
        emit_values(given, base, b, context, &one.loc, &one.log_scale);
    } else if (!given->standard) {
        one.loc = cf_constant(b, CF_UNBATCHED, 1, first_of(base, "loc", 0.0));
        one.log_scale = cf_constant(b, CF_UNBATCHED, 1, log(first_of(base, "scale", 1.0)));
    }
    return one;
}

cf_status cf_location_scale_check(const cf_spec *spec) {
    const cf_setting *loc = cf_spec_get(spec, "loc"), *scale = cf_spec_get(spec, "scale");
    bool given = loc->kind != CF_NONE || scale->kind != CF_NONE || cf_spec_int(spec, "learned");
    if (cf_spec_spec(spec, "conditioner") != NULL && given)
        return cf_fail(CF_INVALID, "%s: with a conditioner there is no loc, scale or learned",
                       name_of(spec));
    for (size_t i = 0; scale->kind != CF_NONE && i < scale->count; i++)
        if (!(scale->reals[i] > 0.0))
            return cf_fail(CF_INVALID, "%s: scale must be positive, got %g at index %zu",
                           name_of(spec), scale->reals[i], i);
    return CF_OK;
}
