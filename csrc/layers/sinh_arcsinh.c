/* The sinh-arcsinh map, as a transform. */
#include <math.h>

#include "layers/positive_scale.h"
#include "layers/transform.h"
#include "ops/ops.h"

static size_t param_count(const cf_spec *spec) {
    (void)spec;
    return 4;
}

/* log(cosh(x)), which does not overflow. */
static cf_value log_cosh(cf_builder *b, cf_value x) {
    cf_value falls = cf_softplus(b, cf_scale_shift(b, x, -2.0, 0.0));
    return cf_scale_shift(b, cf_add(b, x, falls), 1.0, -log(2.0));
}

/* Between x and z is an affine map, that of AffineTransform; between z and u both directions are
 * sinh of a line of arcsinh, and the logarithm of the slope that of the line's slope times the
 * ratio of the cosines. */
static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    cf_value of_affine, out;
    const cf_spec *form = transform->state;
    (void)features;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t n = cf_value_size(b, u);
    cf_value skewness = cf_slice(b, params, 0, n);
    cf_value log_weight = cf_log_scale(b, form, cf_slice(b, params, n, n));
    cf_value log_scale = cf_log_scale(b, form, cf_slice(b, params, 2 * n, n));
    cf_value shift = cf_slice(b, params, 3 * n, n);
    cf_value z = inverse ? cf_affine(b, u, log_scale, shift, true, &of_affine) : u;
    cf_value angle = cf_asinh(b, z), moved;
    if (inverse)
        moved = cf_subtract(b, cf_multiply(b, angle, cf_exp(b, log_weight)), skewness);
    else
        moved = cf_divide(b, cf_add(b, angle, skewness), cf_exp(b, log_weight));
    cf_value slope = cf_subtract(b, log_cosh(b, moved), log_cosh(b, angle));
    slope = inverse ? cf_add(b, slope, log_weight) : cf_subtract(b, slope, log_weight);
    out = cf_sinh(b, moved);
    if (!inverse)
        out = cf_affine(b, out, log_scale, shift, false, &of_affine);
    *log_det = cf_add(b, cf_sum_features(b, slope), of_affine);
    return out;
}

static const cf_transform_methods methods = {
    .param_count = param_count, .apply = apply, .bind = cf_transform_bind_scale};

static const cf_option options[] = {
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How delta and the scale become positive: a form of `Scale`, or a `Scale`."},
};

const cf_spec_type cf_sinh_arcsinh_type = {
    .name = "SinhArcsinh",
    .role = "transform",
    .doc =
        "The sinh-arcsinh map: skewness, and heavier or lighter tails than a normal's.\n\n"
        "``u = sinh(delta * arcsinh((x - shift) / scale) - epsilon)``, and ``x = scale * "
        "sinh((arcsinh(u) + epsilon) / delta) + shift``:\n"
        "of a normal ``u``, ``x`` leans to the right for ``epsilon > 0`` and has heavy tails for "
        "``delta < 1``. ``log_det`` of data to base is\n"
        "``log(delta / scale) + log(cosh(arcsinh(u)) / cosh(arcsinh((x - shift) / scale)))``. "
        "Unconstrained parameters: epsilon, delta, scale, shift;\n"
        "where all are 0 the map is the identity.\n\n"
        "References\n----------\n"
        "Jones and Pewsey 2009, Sinh-arcsinh distributions, Biometrika 96, 761-780.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
