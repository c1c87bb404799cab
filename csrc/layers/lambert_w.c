/* Lambert's map to heavy tails, as a transform. */
#include <math.h>

#include "layers/positive_scale.h"
#include "layers/transform.h"
#include "ops/ops.h"

/* Where the unconstrained tail weight is 0, h is the maximum over 1 + e^4: the tails are nearly
 * normal, and the gradient is not so small that they stay so. */
#define START (-4.0)

static size_t param_count(const cf_spec *spec) {
    (void)spec;
    return 3;
}

static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    const cf_spec *spec = transform->spec;
    cf_value of_affine, out;
    const cf_spec *form = transform->state;
    (void)features;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t n = cf_value_size(b, u);
    cf_value weight = cf_sigmoid(b, cf_scale_shift(b, cf_slice(b, params, 0, n), 1.0, START));
    cf_value h = cf_scale_shift(b, weight, cf_spec_real(spec, "maximum"), 0.0);
    cf_value log_scale = cf_log_scale(b, form, cf_slice(b, params, n, n));
    cf_value shift = cf_slice(b, params, 2 * n, n);
    if (inverse) {
        cf_value z = cf_affine(b, u, log_scale, shift, true, &of_affine);
        u = cf_lambert_root(b, z, h);
    }
    cf_value w = cf_multiply(b, cf_multiply(b, h, u), u), half = cf_scale_shift(b, w, 0.5, 0.0);
    cf_value log_slope = cf_add(b, half, cf_log1p(b, w));
    if (inverse) {
        out = u;
        log_slope = cf_scale_shift(b, log_slope, -1.0, 0.0);
    } else {
        cf_value z = cf_multiply(b, u, cf_exp(b, half));
        out = cf_affine(b, z, log_scale, shift, false, &of_affine);
    }
    *log_det = cf_add(b, cf_sum_features(b, log_slope), of_affine);
    return out;
}

static cf_status check(const cf_spec *spec) {
    double maximum = cf_spec_real(spec, "maximum");
    if (!(maximum > 0.0 && maximum <= 10.0))
        return cf_fail(CF_INVALID, "LambertW: maximum must be above 0 and at most 10, got %g",
                       maximum);
    return CF_OK;
}

static const cf_transform_methods methods = {
    .param_count = param_count, .apply = apply, .bind = cf_transform_bind_scale};

static const cf_option options[] = {
    {.name = "maximum",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1.0),
     .doc = "Upper limit of h, at most 10: of a normal ``u``, ``x`` has moments of orders below "
            "``1 / h``."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained scale becomes positive: a form of `Scale`, or a `Scale`."},
};

const cf_spec_type cf_lambert_w_type = {
    .name = "LambertW",
    .role = "transform",
    .doc =
        "Lambert's map to heavy tails.\n\n"
        "``x = scale * u * exp(h u^2 / 2) + shift``, whose ``log_det`` is ``log(scale) + h u^2 / 2 "
        "+ log(1 + h u^2)``;\n"
        "with ``z = (x - shift) / scale`` the inverse is ``u = z * exp(-W(h z^2) / 2)``, W being "
        "Lambert's function, the inverse of ``w e^w``.\n"
        "``h = maximum / (1 + exp(4 - param))`` lies between 0, normal tails, and the maximum: of "
        "a normal ``u``,\n"
        "``|x|`` is beyond large ``t`` with a probability near ``t^(-1 / h)``. Unconstrained "
        "parameters: tail weight, scale, shift; where all\n"
        "are 0 the map is nearly the identity, with ``h = 0.018 maximum``.\n\n"
        "References\n----------\n"
        "Goerg 2015, The Lambert way to Gaussianize heavy-tailed data with the inverse of Tukey's "
        "h transformation as a special case, arXiv:1010.2265.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
