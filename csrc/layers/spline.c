/* The rational-quadratic spline as a transform. */
#include "ops/spline.h"

#include <math.h>
#include <string.h>

#include "layers/transform.h"

static const char *const tails[] = {"linear", "circular", "free", NULL};
static const char *const forms[] = {"softmax", "softclip", NULL};

static int place_of(const char *const *names, const char *name) {
    int i = 0;
    while (strcmp(names[i], name) != 0)
        i++;
    return i;
}

static cf_spline read(const cf_spec *spec) {
    const cf_setting *box = cf_spec_get(spec, "box");
    double bound = cf_spec_real(spec, "bound");
    bool boxed = box->kind != CF_NONE;
    return (cf_spline){.bins = (int)cf_spec_int(spec, "bins"),
                       .tails = (cf_tails)place_of(tails, cf_spec_string(spec, "tails")),
                       .form = (cf_spline_form)place_of(forms, cf_spec_string(spec, "form")),
                       .low = boxed ? box->reals[0] : -bound,
                       .high = boxed ? box->reals[1] : bound,
                       .least_bin = cf_spec_real(spec, "minimum_bin"),
                       .least_slope = cf_spec_real(spec, "minimum_slope"),
                       .factor = cf_spec_real(spec, "factor")};
}

static size_t raw_count(const cf_spec *spec) {
    cf_spline spline = read(spec);
    return cf_spline_raw_count(&spline);
}

static cf_value apply(const cf_spec *spec, cf_builder *b, cf_value u, cf_value raw,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    cf_spline spline = read(spec);
    (void)features;
    return cf_spline_map(b, &spline, u, raw, inverse, log_det);
}

static double period(const cf_spec *spec, int64_t feature) {
    cf_spline spline = read(spec);
    (void)feature;
    return spline.tails == CF_TAILS_CIRCULAR ? spline.high - spline.low : 0.0;
}

static cf_status check_box(const cf_spec *spec) {
    const cf_setting *box = cf_spec_get(spec, "box");
    double bound = cf_spec_real(spec, "bound");
    if (!(bound > 0.0 && isfinite(bound)))
        return cf_fail(CF_INVALID, "Spline: bound must be positive and finite, got %g", bound);
    if (box->kind == CF_NONE)
        return CF_OK;
    if (cf_spec_get(spec, "bound")->given)
        return cf_fail(CF_INVALID, "Spline: give bound or box, not both");
    if (box->count != 2 || !(box->reals[0] < box->reals[1]) || !isfinite(box->reals[0]) ||
        !isfinite(box->reals[1]))
        return cf_fail(CF_INVALID, "Spline: box must be two finite numbers, the lower first");
    return CF_OK;
}

static cf_status check(const cf_spec *spec) {
    int64_t bins = cf_spec_int(spec, "bins");
    double bin = cf_spec_real(spec, "minimum_bin"), slope = cf_spec_real(spec, "minimum_slope");
    double factor = cf_spec_real(spec, "factor");
    CF_TRY(check_box(spec));
    if (bins < 1 || bins > CF_MOST_BINS)
        return cf_fail(CF_INVALID, "Spline: bins must be from 1 to %d, got %lld", CF_MOST_BINS,
                       (long long)bins);
    if (!(bin > 0.0 && bin * (double)bins < 1.0))
        return cf_fail(CF_INVALID,
                       "Spline: minimum_bin must be positive and below 1 / bins = %g, got %g",
                       1.0 / (double)bins, bin);
    if (!(slope > 0.0 && slope < 1.0))
        return cf_fail(CF_INVALID, "Spline: minimum_slope must be between 0 and 1, got %g", slope);
    if (!(factor > 0.0 && isfinite(factor)))
        return cf_fail(CF_INVALID, "Spline: factor must be positive and finite, got %g", factor);
    return CF_OK;
}

static const cf_transform_methods methods = {
    .raw_count = raw_count, .apply = apply, .period = period};

static const cf_option options[] = {
    {.name = "bins",
     .kinds = CF_OPTION_INT,
     .fallback = CF_DEFAULT_INT(8),
     .doc = "Pieces of the spline, from 1 to 128."},
    {.name = "bound",
     .kinds = CF_OPTION_REAL,
     .fallback = CF_DEFAULT_REAL(3.0),
     .doc = "The spline maps [-bound, bound] to itself."},
    {.name = "box",
     .kinds = CF_OPTION_REALS | CF_OPTIONAL,
     .fallback = CF_DEFAULT_NONE,
     .doc = "The interval (low, high) instead of [-bound, bound]."},
    {.name = "tails",
     .kinds = CF_OPTION_STRING,
     .fallback = CF_DEFAULT_STRING("linear"),
     .choices = tails,
     .doc =
         "``'linear'``: slope 1 at both ends, the identity beyond; ``'circular'``: one slope for "
         "both ends, which are one point: networks read such a feature as its cosine and sine; "
         "``'free'``: a slope an end, with which the map goes on."},
    {.name = "form",
     .kinds = CF_OPTION_STRING,
     .fallback = CF_DEFAULT_STRING("softmax"),
     .choices = forms,
     .doc = "How raw numbers become bins and slopes, see above."},
    {.name = "minimum_bin",
     .kinds = CF_OPTION_REAL,
     .fallback = CF_DEFAULT_REAL(1e-3),
     .doc = "Of ``'softmax'``: the least width and height, as a share of the interval."},
    {.name = "minimum_slope",
     .kinds = CF_OPTION_REAL,
     .fallback = CF_DEFAULT_REAL(1e-3),
     .doc = "The least slope at a knot."},
    {.name = "factor",
     .kinds = CF_OPTION_REAL,
     .fallback = CF_DEFAULT_REAL(1.0),
     .doc = "On raw widths and heights; nflows takes 1 / sqrt(hidden width)."},
};

const cf_spec_type cf_spline_type = {
    .name = "Spline",
    .role = "transform",
    .doc =
        "Monotone rational-quadratic spline.\n\n"
        "Between the knots ``(X_k, Y_k)`` with slopes ``d_k``, at ``z = (u - X_k) / (X_{k+1} - "
        "X_k)``\n"
        "and with ``s = (Y_{k+1} - Y_k) / (X_{k+1} - X_k)``,\n"
        "``x = Y_k + (Y_{k+1} - Y_k) (s z^2 + d_k z (1 - z)) / (s + (d_k + d_{k+1} - 2 s) z (1 - "
        "z))``.\n"
        "Raw numbers: the widths, the heights, the slopes. With ``form='softmax'`` bins are\n"
        "``minimum_bin + (1 - bins * minimum_bin) * softmax(factor * raw)`` of the interval and "
        "slopes\n"
        "``minimum_slope + softplus(raw)``; with ``'softclip'`` they are "
        "``softmax(softclip(raw, b / 2))``\n"
        "and ``exp(softclip(raw, b))``, ``softclip(a, b) = a / (1 + |a| / b)``,\n"
        "``b = -log(minimum_slope)``.\n\n"
        "References\n----------\n"
        "Durkan et al. 2019, Neural spline flows, arXiv:1906.04032, equations 4 to 8.\n"
        "Rezende et al. 2020, Normalizing flows on tori and spheres, arXiv:2002.02428 (circular).",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
