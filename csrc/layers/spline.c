/* The rational-quadratic spline as a transform. */
#include "layers/spline_options.h"

static const char *const tails[] = {"linear", "circular", "free", NULL};
static const char *const forms[] = {"softmax", "softclip", NULL};

static const cf_option options[] = {
    CF_SPLINE_PLACE_OPTIONS,
    {.name = "tails",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("linear"),
     .choices = tails,
     .doc =
         "``'linear'``: slope 1 at both ends, the identity beyond; ``'circular'``: one slope for "
         "both ends, which are one point: networks read such a feature as its cosine and sine, "
         "and numbers off the circle stay as they are; "
         "``'free'``: a slope an end, with which the map goes on."},
    {.name = "form",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("softmax"),
     .choices = forms,
     .doc = "How unconstrained parameters become bins and slopes, see above."},
    CF_SPLINE_MINIMUM_BIN(
        "Of ``'softmax'``: the minimum width and height, as a share of the interval."),
    CF_SPLINE_MINIMUM_SLOPE("The minimum slope at a knot."),
    CF_SPLINE_FACTOR("On unconstrained widths and heights; nflows takes 1 / sqrt(hidden width)."),
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
        "z))``;\n"
        "``log_det`` is the logarithm of its derivative, ``s^2 (d_{k+1} z^2 + 2 s z (1 - z) + d_k "
        "(1 "
        "- z)^2)``\nover the square of the denominator. "
        "Unconstrained parameters: the widths, the heights, the slopes. With ``form='softmax'`` "
        "bins are\n"
        "``minimum_bin + (1 - bins * minimum_bin) * softmax(factor * params)`` of the interval and "
        "slopes\n"
        "``minimum_slope + softplus(param)``; with ``'softclip'`` they are "
        "``softmax(softclip(params, b / 2))``\n"
        "and ``exp(softclip(param, b))``, ``softclip(a, b) = a / (1 + |a| / b)``,\n"
        "``b = -log(minimum_slope)``.\n\n"
        "References\n----------\n"
        "Durkan et al. 2019, Neural spline flows, arXiv:1906.04032, equations 4 to 8.\n"
        "Rezende et al. 2020, Normalizing flows on tori and spheres, arXiv:2002.02428 (circular).",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_spline_check,
    .methods = &cf_spline_methods,
};
