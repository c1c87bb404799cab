/* Transforms: increasing maps of single features, each set by the same few unconstrained parameters
 * a feature.
 *
 * Unconstrained parameter p of feature f is number p F + f of F features. A transform emits ops.
 * Most keep no state; one with weights of its own declares them as a layer does, while binding.
 */
#ifndef CF_LAYERS_TRANSFORM_H
#define CF_LAYERS_TRANSFORM_H

#include "base/spec.h"
#include "engine/program.h"
#include "model/binding.h"

/* Features of a layer, by number. */
typedef struct {
    size_t count;
    const int64_t *feature;
} cf_features;

/* A transform as bound by its layer. */
typedef struct {
    const cf_spec *spec;
    void *state; /* of its type, in the flow's arena; NULL: it keeps none */
} cf_transform;

typedef struct {
    size_t (*param_count)(const cf_spec *transform); /* a feature */
    /* x of u, or u of x if `inverse`; *log_det is the sum of the logarithms of the derivatives, or
     * CF_NO_VALUE for 0. features[i] is the number, in the layer, of feature i of u. */
    cf_value (*apply)(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det);
    /* Where unconstrained parameter `param` of a feature of the layer starts, such that the map is
     * the identity; NULL: all start at 0. */
    double (*start)(const cf_spec *transform, int64_t feature, size_t param);
    /* The period of a feature of the layer whose two ends are one point, 0 for others; NULL: for
     * all. */
    double (*period)(const cf_spec *transform, int64_t feature);
    /* Fails unless the transform is for layers of so many features; NULL: it is for all. */
    cf_status (*check_features)(const cf_spec *transform, size_t features);
    /* Declares parameters for the features that are transformed, those that apply may be asked for,
     * and sets transform->state; NULL: there is nothing to do. */
    cf_status (*bind)(cf_transform *transform, cf_binding *binding, cf_features transformed);
} cf_transform_methods;

static inline const cf_transform_methods *cf_transform_methods_of(const cf_spec *transform) {
    return cf_spec_type_of(transform)->methods;
}

/* The method `bind` of transforms with an option `scale`: the state is the Scale spec. */
cf_status cf_transform_bind_scale(cf_transform *transform, cf_binding *binding,
                                  cf_features transformed);

/* Binds `spec`, which is kept by reference: what it declares has names at the binding's path. */
cf_status cf_transform_bind(cf_transform *out, const cf_spec *spec, cf_binding *binding,
                            cf_features transformed);

cf_value cf_transform_apply(const cf_transform *transform, cf_builder *b, cf_value u,
                            cf_value params, const int64_t *features, bool inverse,
                            cf_value *log_det);

/* *out = the transform that a layer's options `transform` and `scale` describe; to be released. */
cf_status cf_transform_spec(const cf_spec *layer, cf_spec **out);

/* Fails if the two options do not go together. */
cf_status cf_transform_check(const cf_spec *layer);

/* The names that options called "transform" take, ending in NULL. */
extern const char *const cf_transform_names[];

extern const cf_spec_type cf_affine_transform_type, cf_additive_transform_type,
    cf_mixed_transform_type, cf_spline_type, cf_linear_spline_type, cf_quadratic_spline_type,
    cf_cubic_spline_type, cf_shifted_transform_type;

#endif
