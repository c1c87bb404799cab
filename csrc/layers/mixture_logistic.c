/* Flow++'s map by the distribution function of a mixture of logistic distributions, as a
 * transform. */
#include "layers/positive_scale.h"
#include "layers/transform.h"
#include "ops/logistic_mixture.h"

static cf_logistic_mixture read(const cf_spec *spec) {
    return (cf_logistic_mixture){.components = (int)cf_spec_int(spec, "components"),
                                 .spread = cf_spec_real(spec, "spread"),
                                 .min_scale = cf_spec_real(spec, "minimum_scale")};
}

static size_t param_count(const cf_spec *spec) {
    return 3 * (size_t)cf_spec_int(spec, "components") + 2;
}

/* Between x and y is the mixture, between y and u an affine map,
 * that of AffineTransform inverted. */
static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    const cf_spec *spec = transform->spec;
    cf_logistic_mixture mixture = read(spec);
    cf_value of_affine, of_mixture, out;
    const cf_spec *form = transform->state;
    (void)features;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t n = cf_value_size(b, u), numbers = 3 * (size_t)mixture.components * n;
    cf_value components = cf_slice(b, params, 0, numbers);
    cf_value log_scale = cf_log_scale(b, form, cf_slice(b, params, numbers, n));
    cf_value shift = cf_slice(b, params, numbers + n, n);
    if (inverse) {
        cf_value y = cf_logistic_mixture_map(b, &mixture, u, components, false, &of_mixture);
        out = cf_affine(b, y, log_scale, shift, false, &of_affine);
    } else {
        cf_value y = cf_affine(b, u, log_scale, shift, true, &of_affine);
        out = cf_logistic_mixture_map(b, &mixture, y, components, true, &of_mixture);
    }
    *log_det = cf_add(b, of_mixture, of_affine);
    return out;
}

static cf_status check(const cf_spec *spec) {
    int64_t components = cf_spec_int(spec, "components");
    double spread = cf_spec_real(spec, "spread"), min = cf_spec_real(spec, "minimum_scale");
    if (components < 1 || components > CF_MAX_COMPONENTS)
        return cf_fail(CF_INVALID, "MixtureLogistic: components must be from 1 to %d, got %lld",
                       CF_MAX_COMPONENTS, (long long)components);
    if (!(spread >= 0.0 && spread <= 1e6))
        return cf_fail(CF_INVALID, "MixtureLogistic: spread must be from 0 to 1e6, got %g", spread);
    if (!(min >= 1e-6 && min < 1.0))
        return cf_fail(CF_INVALID,
                       "MixtureLogistic: minimum_scale must be at least 1e-6 and below 1, got %g",
                       min);
    return CF_OK;
}

static const cf_transform_methods methods = {
    .param_count = param_count, .apply = apply, .bind = cf_transform_bind_scale};

static const cf_option options[] = {
    {.name = "components",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(8),
     .doc = "Components of the mixture, from 1 to 64."},
    {.name = "spread",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1.0),
     .doc = "Where unconstrained means are 0, means go in equal steps from -spread to spread."},
    {.name = "minimum_scale",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1e-2),
     .doc = "Scales of components lie between it and 1 / minimum_scale."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained scale becomes positive: a form of `Scale`, or a `Scale`."},
};

const cf_spec_type cf_mixture_logistic_type = {
    .name = "MixtureLogistic",
    .role = "transform",
    .doc =
        "The distribution function of a mixture of logistic distributions, as in Flow++.\n\n"
        "``u = scale * logit(F(x)) + shift``, with\n"
        "``F(x) = p_1 sigmoid((x - m_1) / s_1) + ... + p_K sigmoid((x - m_K) / s_K)``; ``log_det`` "
        "of data to base is\n``log(scale F' / (F (1 - F)))``. That direction is a formula. The "
        "other, sampling, solves for ``x`` by\n"
        "Newton's method and bisection, to the last digits of the dtype, and costs several times "
        "as much; its\n"
        "gradients are those of the formula at ``x``. Unconstrained parameters: K logits of the "
        "weights ``p``, "
        "K means, K\n"
        "logarithms of scales, scale, shift. ``m_k = param + spread * (2 (k - 1) / (K - 1) - 1)``; "
        "``s_k =\n"
        "exp(param / (1 + |param| / b))``, ``b = -log(minimum_scale)``. Where all are 0, ``u`` is "
        "near "
        "``x``: the slope is\n"
        "1 far out, and less between the means.\n\n"
        "References\n----------\n"
        "Ho et al. 2019, Flow++, arXiv:1902.00275, section 3.2.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
