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

static const cf_spec_type *const types[] = {
    [CF_RATIONAL_QUADRATIC_SPLINE] = &cf_spline_type,
    [CF_LINEAR_SPLINE] = &cf_linear_spline_type,
    [CF_QUADRATIC_SPLINE] = &cf_quadratic_spline_type,
    [CF_CUBIC_SPLINE] = &cf_cubic_spline_type,
};

static cf_spline_kind kind_of(const cf_spec *spec) {
    size_t kind = 0;
    while (types[kind] != cf_spec_type_of(spec))
        kind++;
    return (cf_spline_kind)kind;
}

/* The index of an option's value among those that it can have; 0 if the spline has no such
 * option. */
static int choice(const cf_spec *spec, const char *option, const char *const *names) {
    int i = 0;
    while (has(spec, option) && strcmp(names[i], cf_spec_string(spec, option)) != 0)
        i++;
    return i;
}

static cf_spline read(const cf_spec *spec) {
    static const char *const tails[] = {"linear", "circular", "free"};
    static const char *const forms[] = {"softmax", "softclip"};
    const cf_setting *box = cf_spec_get(spec, "box");
    double bound = cf_spec_real(spec, "bound");
    bool boxed = box->kind != CF_NONE;
    return (cf_spline){.kind = kind_of(spec),
                       .bins = (int)cf_spec_int(spec, "bins"),
                       .tails = (cf_tails)choice(spec, "tails", tails),
                       .form = (cf_spline_form)choice(spec, "form", forms),
                       .low = boxed ? box->reals[0] : -bound,
                       .high = boxed ? box->reals[1] : bound,
                       .min_bin = cf_spec_real(spec, "minimum_bin"),
                       .min_slope =
                           has(spec, "minimum_slope") ? cf_spec_real(spec, "minimum_slope") : 0.0,
                       .factor = cf_spec_real(spec, "factor")};
}

static size_t param_count(const cf_spec *spec) {
    cf_spline spline = read(spec);
    return cf_spline_param_count(&spline);
}

static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    cf_spline spline = read(transform->spec);
    (void)features;
    return cf_spline_map(b, &spline, u, params, inverse, log_det);
}

static double period(const cf_spec *spec, int64_t feature) {
    cf_spline spline = read(spec);
    (void)feature;
    return spline.tails == CF_TAILS_CIRCULAR ? spline.high - spline.low : 0.0;
}

/* Bins of one size are those of 0. The slopes, of which the cubic spline has those of the ends, are
 * to be 1. */
static double start(const cf_spec *spec, int64_t feature, size_t param) {
    cf_spline spline = read(spec);
    (void)feature;
    if (param < 2 * (size_t)spline.bins)
        return 0.0;
    if (spline.kind == CF_CUBIC_SPLINE) /* min + 3 (1 - min) sigmoid(params) */
        return -log(2.0);
    if (spline.kind == CF_RATIONAL_QUADRATIC_SPLINE && spline.form == CF_SPLINE_SOFTMAX)
        return log(expm1(1.0 - spline.min_slope)); /* min + softplus(params) */
    return 0.0;
}

const cf_transform_methods cf_spline_methods = {
    .param_count = param_count, .apply = apply, .start = start, .period = period};

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
    if (bins < 1 || bins > CF_MAX_BINS)
        return cf_fail(CF_INVALID, "%s: bins must be from 1 to %d, got %lld", name_of(spec),
                       CF_MAX_BINS, (long long)bins);
    cf_spline spline = read(spec);
    if (!(spline.min_bin > 0.0 && spline.min_bin * (double)bins < 1.0))
        return cf_fail(CF_INVALID,
                       "%s: minimum_bin must be positive and below 1 / bins = %g, got %g",
                       name_of(spec), 1.0 / (double)bins, spline.min_bin);
    if (has(spec, "minimum_slope") && !(spline.min_slope > 0.0 && spline.min_slope < 1.0))
        return cf_fail(CF_INVALID, "%s: minimum_slope must be between 0 and 1, got %g",
                       name_of(spec), spline.min_slope);
    if (!(spline.factor > 0.0))
        return cf_fail(CF_INVALID, "%s: factor must be positive, got %g", name_of(spec),
                       spline.factor);
    return CF_OK;
}
