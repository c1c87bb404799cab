/* The short forms of transforms, and the two simplest. */
#include "layers/transform.h"

#include <string.h>

#include "layers/positive_scale.h"
#include "ops/ops.h"

const char *const cf_transform_names[] = {"affine", "additive", "spline", NULL};

static const cf_spec_type *const named_types[] = {&cf_affine_transform_type,
                                                  &cf_additive_transform_type, &cf_spline_type};

static const cf_spec_type *type_named(const char *name) {
    size_t i = 0;
    while (strcmp(cf_transform_names[i], name) != 0)
        i++;
    return named_types[i];
}

cf_status cf_transform_spec(const cf_spec *layer, cf_spec **out) {
    const cf_setting *option = cf_spec_get(layer, "transform");
    if (option->kind == CF_OPTION_SPEC) {
        *out = cf_spec_retain(option->specs[0]);
        return CF_OK;
    }
    const cf_spec_type *type = type_named(option->string);
    CF_TRY(cf_spec_new(out, type));
    cf_status status = CF_OK;
    if (type == &cf_affine_transform_type)
        status = cf_spec_set(*out, "scale", cf_spec_get(layer, "scale"));
    if (status == CF_OK)
        status = cf_spec_finish(*out);
    if (status != CF_OK) {
        cf_spec_free(*out);
        *out = NULL;
    }
    return status;
}

cf_status cf_transform_check(const cf_spec *layer) {
    const cf_setting *option = cf_spec_get(layer, "transform");
    const char *name = option->kind == CF_OPTION_STRING ? option->string : "a transform";
    if (cf_spec_get(layer, "scale")->is_set && strcmp(name, "affine") != 0)
        return cf_fail(CF_INVALID, "%s: scale goes with transform='affine', not with %s",
                       cf_spec_type_of(layer)->name, name);
    return CF_OK;
}

cf_status cf_transform_bind(cf_transform *out, const cf_spec *spec, cf_binding *binding,
                            cf_features transformed) {
    const cf_transform_methods *methods = cf_transform_methods_of(spec);
    *out = (cf_transform){.spec = spec};
    return methods->bind != NULL ? methods->bind(out, binding, transformed) : CF_OK;
}

cf_value cf_transform_apply(const cf_transform *transform, cf_builder *b, cf_value u,
                            cf_value params, const int64_t *features, bool inverse,
                            cf_value *log_det) {
    return cf_transform_methods_of(transform->spec)
        ->apply(transform, b, u, params, features, inverse, log_det);
}

static size_t one_number(const cf_spec *transform) {
    (void)transform;
    return 1;
}

static cf_value apply_additive(const cf_transform *transform, cf_builder *b, cf_value u,
                               cf_value params, const int64_t *features, bool inverse,
                               cf_value *log_det) {
    (void)transform;
    (void)features;
    *log_det = CF_NO_VALUE;
    return inverse ? cf_subtract(b, u, params) : cf_add(b, u, params);
}

static const cf_transform_methods additive_methods = {.param_count = one_number,
                                                      .apply = apply_additive};

const cf_spec_type cf_additive_transform_type = {
    .name = "AdditiveTransform",
    .role = "transform",
    .doc = "``x = u + shift``, ``log_det = 0``.\n\n"
           "References\n----------\n"
           "Dinh et al. 2015, NICE, arXiv:1410.8516.",
    .methods = &additive_methods,
};

cf_status cf_transform_bind_scale(cf_transform *transform, cf_binding *binding,
                                  cf_features transformed) {
    cf_spec *scale;
    (void)transformed;
    CF_TRY(cf_positive_scale_spec(cf_spec_get(transform->spec, "scale"), &scale));
    transform->state = scale;
    return cf_binding_keep(binding, scale);
}

static size_t two_numbers(const cf_spec *transform) {
    (void)transform;
    return 2;
}

static cf_value apply_affine(const cf_transform *transform, cf_builder *b, cf_value u,
                             cf_value params, const int64_t *features, bool inverse,
                             cf_value *log_det) {
    size_t n = cf_value_size(b, u);
    cf_value scale = cf_slice(b, params, 0, n), shift = cf_slice(b, params, n, n);
    const cf_spec *form = transform->state;
    (void)features;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value out = cf_affine(b, u, cf_log_scale(b, form, scale), shift, inverse, log_det);
    return out;
}

static const cf_transform_methods affine_methods = {
    .param_count = two_numbers, .apply = apply_affine, .bind = cf_transform_bind_scale};

static const cf_option affine_options[] = {
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained scale becomes positive: a form of `Scale`, or a `Scale`. The "
            "default is "
            "``exp(a / (1 + |a| / log(1000)))``, between 1/1000 and 1000."},
};

const cf_spec_type cf_affine_transform_type = {
    .name = "AffineTransform",
    .role = "transform",
    .doc = "``x = u * scale + shift``, ``log_det = log(scale)``; unconstrained parameters: scale, "
           "shift.\n\n"
           "References\n----------\n"
           "Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803.",
    .options = affine_options,
    .option_count = sizeof affine_options / sizeof *affine_options,
    .methods = &affine_methods,
};
