/* Transforms: increasing maps of single features, each set by the same few unconstrained parameters
 * a feature.
 *
 * Unconstrained parameter p of feature f is number p F + f of F features. A transform is a spec; it
 * emits ops and keeps no state.
 */
#ifndef CF_LAYERS_TRANSFORM_H
#define CF_LAYERS_TRANSFORM_H

#include "base/spec.h"
#include "engine/program.h"

typedef struct {
    size_t (*param_count)(const cf_spec *transform); /* a feature */
    /* x of u, or u of x if `inverse`; *log_det is the sum of the logarithms of the derivatives, or
     * CF_NO_VALUE for 0. features[i] is the number, in the layer, of feature i of u. */
    cf_value (*apply)(const cf_spec *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det);
    /* Where unconstrained parameter `param` of a feature of the layer starts, such that the map is
     * the identity; NULL: all start at 0. */
    double (*start)(const cf_spec *transform, int64_t feature, size_t param);
    /* The period of a feature of the layer whose two ends are one point, 0 for others; NULL: for
     * all. */
    double (*period)(const cf_spec *transform, int64_t feature);
    /* Fails unless the transform is for layers of so many features; NULL: it is for all. */
    cf_status (*check_features)(const cf_spec *transform, size_t features);
} cf_transform_methods;

static inline const cf_transform_methods *cf_transform_methods_of(const cf_spec *transform) {
    return cf_spec_type_of(transform)->methods;
}

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
