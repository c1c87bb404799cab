#include "layers/spline_options.h"

#include <math.h>
#include <string.h>

static const char *name_of(const cf_spec *spec) {
    return cf_spec_type_of(spec)->name;
}

static bool has(const cf_spec *spec, const char *option) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    for (size_t i = 0; i < type->option_count; i++)
        if (strcmp(type->options[i].name, option) == 0)
            return true;
    return false;
}

cf_spline cf_spline_read(const cf_spec *spec) {
    const cf_setting *box = cf_spec_get(spec, "box");
    double bound = cf_spec_real(spec, "bound");
    bool boxed = box->kind != CF_NONE;
    return (cf_spline){.bins = (int)cf_spec_int(spec, "bins"),
                       .low = boxed ? box->reals[0] : -bound,
                       .high = boxed ? box->reals[1] : bound,
                       .least_bin = cf_spec_real(spec, "minimum_bin"),
                       .least_slope =
                           has(spec, "minimum_slope") ? cf_spec_real(spec, "minimum_slope") : 0.0,
                       .factor = cf_spec_real(spec, "factor")};
}

static cf_status check_box(const cf_spec *spec) {
    const cf_setting *box = cf_spec_get(spec, "box");
    double bound = cf_spec_real(spec, "bound");
    if (!(bound > 0.0))
        return cf_fail(CF_INVALID, "%s: bound must be positive, got %g", name_of(spec), bound);
    if (box->kind == CF_NONE)
        return CF_OK;
    if (cf_spec_get(spec, "bound")->is_set)
        return cf_fail(CF_INVALID, "%s: give bound or box, not both", name_of(spec));
    if (box->count != 2 || !(box->reals[0] < box->reals[1]) ||
        !isfinite(box->reals[1] - box->reals[0]))
        return cf_fail(CF_INVALID, "%s: box must be two finite numbers, the lower first",
                       name_of(spec));
    return CF_OK;
}

cf_status cf_spline_check(const cf_spec *spec) {
    int64_t bins = cf_spec_int(spec, "bins");
    CF_TRY(check_box(spec));
    if (bins < 1 || bins > CF_MOST_BINS)
        return cf_fail(CF_INVALID, "%s: bins must be from 1 to %d, got %lld", name_of(spec),
                       CF_MOST_BINS, (long long)bins);
    cf_spline spline = cf_spline_read(spec);
    if (!(spline.least_bin > 0.0 && spline.least_bin * (double)bins < 1.0))
        return cf_fail(CF_INVALID,
                       "%s: minimum_bin must be positive and below 1 / bins = %g, got %g",
                       name_of(spec), 1.0 / (double)bins, spline.least_bin);
    if (has(spec, "minimum_slope") && !(spline.least_slope > 0.0 && spline.least_slope < 1.0))
        return cf_fail(CF_INVALID, "%s: minimum_slope must be between 0 and 1, got %g",
                       name_of(spec), spline.least_slope);
    if (!(spline.factor > 0.0))
        return cf_fail(CF_INVALID, "%s: factor must be positive, got %g", name_of(spec),
                       spline.factor);
    return CF_OK;
}
