/* Linear, quadratic and cubic splines as transforms. */
#include "layers/spline_options.h"

static const char *const tails[] = {"linear", "free", NULL};

static const cf_option linear_options[] = {
    CF_SPLINE_PLACE_OPTIONS,
    CF_SPLINE_MINIMUM_BIN("The minimum height of a bin, as a share of the interval."),
    CF_SPLINE_FACTOR("On unconstrained parameters."),
};

const cf_spec_type cf_linear_spline_type = {
    .name = "LinearSpline",
    .role = "transform",
    .doc =
        "Monotone piecewise-linear spline.\n\n"
        "The bins are of one width. Their heights are, of the interval ``[low, high]``,\n"
        "``p = minimum_bin + (1 - bins * minimum_bin) * softmax(factor * params)``. In bin k the "
        "derivative is ``bins * p_k``:\n"
        "``x = low + (high - low) (p_0 + ... + p_{k-1} + z p_k)``, ``z = bins (u - low) / (high - "
        "low) - k``.\n"
        "Beyond the interval it is the identity. The derivative jumps at every knot, the ends "
        "among them.\n\n"
        "References\n----------\n"
        "Müller et al. 2019, Neural importance sampling, arXiv:1808.03856, section 4.1.",
    .options = linear_options,
    .option_count = sizeof linear_options / sizeof *linear_options,
    .check = cf_spline_check,
    .methods = &cf_spline_methods,
};

static const cf_option quadratic_options[] = {
    CF_SPLINE_PLACE_OPTIONS,
    {.name = "tails",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("linear"),
     .choices = tails,
     .doc = "``'linear'``: density 1 at both ends, the identity beyond; ``'free'``: a density an "
            "end, with which the map goes on."},
    CF_SPLINE_MINIMUM_BIN("The minimum width of a bin, as a share of the interval."),
    CF_SPLINE_MINIMUM_SLOPE("The minimum density at a knot."),
    CF_SPLINE_FACTOR("On unconstrained parameters."),
};

const cf_spec_type cf_quadratic_spline_type = {
    .name = "QuadraticSpline",
    .role = "transform",
    .doc =
        "Monotone piecewise-quadratic spline.\n\n"
        "Its derivative, the density, goes in straight lines through the ``v_k`` at the knots "
        "``X_k``: at\n"
        "``z = (u - X_k) / w_k``, with the width ``w_k = X_{k+1} - X_k``, it is\n"
        "``v_k + (v_{k+1} - v_k) z``, and ``x = Y_k + w_k (v_k z + (v_{k+1} - v_k) z^2 / 2)``.\n"
        "Unconstrained parameters: the widths, the densities. Widths are\n"
        "``minimum_bin + (1 - bins * minimum_bin) * softmax(factor * params)`` of the interval; "
        "densities are\n"
        "``minimum_slope + (1 - minimum_slope) * exp(factor * params) / c``, ``c`` such that the "
        "interval is mapped\n"
        "to itself. The densities at the ends of linear tails are 1, and not parameters.\n\n"
        "References\n----------\n"
        "Müller et al. 2019, Neural importance sampling, arXiv:1808.03856, section 4.2.",
    .options = quadratic_options,
    .option_count = sizeof quadratic_options / sizeof *quadratic_options,
    .check = cf_spline_check,
    .methods = &cf_spline_methods,
};

static const cf_option cubic_options[] = {
    CF_SPLINE_PLACE_OPTIONS,
    {.name = "tails",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("linear"),
     .choices = tails,
     .doc = "``'linear'``: the identity beyond the ends, where the derivative jumps; ``'free'``: "
            "the map goes on with the slopes at the ends."},
    CF_SPLINE_MINIMUM_BIN("The minimum width and height, as a share of the interval."),
    CF_SPLINE_MINIMUM_SLOPE("The minimum slope at an end, over the mean slope of the bin there."),
    CF_SPLINE_FACTOR("On unconstrained widths and heights."),
};

const cf_spec_type cf_cubic_spline_type = {
    .name = "CubicSpline",
    .role = "transform",
    .doc =
        "Monotone cubic spline.\n\n"
        "Between the knots ``(X_k, Y_k)``, a distance ``w_k`` apart and with mean slope ``s_k``, "
        "it is Hermite's\n"
        "cubic: at ``z = (u - X_k) / w_k``,\n"
        "``x = Y_k + w_k (d_k z (1 - z)^2 - d_{k+1} z^2 (1 - z) + s_k z^2 (3 - 2 z))``, with the "
        "slopes\n"
        "``d_k = min(2 s_{k-1}, 2 s_k, (s_{k-1} w_k + s_k w_{k-1}) / (w_{k-1} + w_k))``.\n"
        "Unconstrained parameters: the widths, the heights, the slope at either end. Bins are\n"
        "``minimum_bin + (1 - bins * minimum_bin) * softmax(factor * params)`` of the interval; "
        "slopes at the ends\n"
        "are ``m + 3 (1 - m) sigmoid(param)`` times the mean slope of the bin there, ``m`` the "
        "minimum_slope.\n\n"
        "References\n----------\n"
        "Durkan et al. 2019, Cubic-spline flows, arXiv:1906.02145.\n"
        "Steffen 1990, A simple method for monotonic interpolation in one dimension, Astronomy "
        "and\nAstrophysics 239, 443.",
    .options = cubic_options,
    .option_count = sizeof cubic_options / sizeof *cubic_options,
    .check = cf_spline_check,
    .methods = &cf_spline_methods,
};
