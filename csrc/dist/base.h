/* Base distributions: what the flow carries to the data. */
#ifndef CF_DIST_BASE_H
#define CF_DIST_BASE_H

#include "engine/program.h"
#include "model/model.h"

typedef struct cf_base cf_base;

enum { CF_BASE_STREAMS = 4 };

/* A base of one feature as a mixture: u is loc + scale z with probability weight, z of the base's
 * family with its loc at 0 and scale 1. As many numbers each as there are components; CF_NO_VALUE
 * stands for 0. `log_shapes` are two numbers, of the one component of a family that has shapes. */
typedef struct {
    cf_value log_weight, loc, log_scale, log_shapes;
} cf_components;

typedef struct {
    /* Checks the sizes, declares parameters and buffers, sets base->state. */
    cf_status (*bind)(cf_base *base, cf_binding *binding);
    /* Log-density of u: one feature. */
    cf_value (*log_prob)(const cf_base *base, cf_builder *b, cf_value u, cf_value context);
    /* Random u; `stream` is the first of the CF_BASE_STREAMS random streams it may use (a Product:
     * as many for each of its bases). */
    cf_value (*sample)(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context);
    /* Of one feature. */
    cf_components (*components)(const cf_base *base, cf_builder *b, cf_value context);
    size_t (*component_count)(const cf_base *base); /* NULL: one */
    /* Whether the density is 0 somewhere; NULL: nowhere. Of most that have such places it is
     * cf_base_restricts. */
    bool (*restricted_domain)(const cf_base *base);
    /* Whether points shall set parameters before a fit, because they are as they started; and
     * setting them, from so many rows of finite numbers, one a feature. NULL: never. */
    bool (*awaits_points)(const cf_base *base, const cf_model *model);
    cf_status (*start)(const cf_base *base, cf_model *model, const double *points, size_t rows,
                       uint64_t seed);
} cf_base_methods;

struct cf_base {
    cf_spec *spec;
    size_t features, context;
    void *state; /* of its type, in the flow's arena */
};

/* Binds `spec`, whose hold stays with the caller, to its sizes. */
cf_status cf_base_bind(cf_base *out, cf_spec *spec, cf_binding *binding, size_t features,
                       size_t context);

static inline const cf_base_methods *cf_base_methods_of(const cf_base *base) {
    return cf_spec_type_of(base->spec)->methods;
}

static inline bool cf_base_has_restricted_domain(const cf_base *base) {
    return cf_base_methods_of(base)->restricted_domain != NULL &&
           cf_base_methods_of(base)->restricted_domain(base);
}

static inline bool cf_base_awaits_points(const cf_base *base, const cf_model *model) {
    return cf_base_methods_of(base)->awaits_points != NULL &&
           cf_base_methods_of(base)->awaits_points(base, model);
}

static inline size_t cf_base_component_count(const cf_base *base) {
    const cf_base_methods *methods = cf_base_methods_of(base);
    return methods->component_count == NULL ? 1 : methods->component_count(base);
}

/* Always true. */
bool cf_base_restricts(const cf_base *base);

extern const cf_spec_type cf_normal_type, cf_product_type;

#endif
