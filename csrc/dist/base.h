/* Base distributions: what the flow carries to the data. */
#ifndef CF_DIST_BASE_H
#define CF_DIST_BASE_H

#include "engine/program.h"
#include "model/binding.h"

typedef struct cf_base cf_base;

enum { CF_BASE_STREAMS = 4 };

typedef struct {
    /* Checks the sizes, declares parameters and buffers, sets base->state. */
    cf_status (*bind)(cf_base *base, cf_binding *binding);
    /* Log-density of u: one feature. */
    cf_value (*log_prob)(const cf_base *base, cf_builder *b, cf_value u, cf_value context);
    /* Random u; `stream` is the first of the CF_BASE_STREAMS random streams it may use (a Product:
     * as many for each of its bases). */
    cf_value (*sample)(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context);
    /* Whether the density is 0 somewhere; NULL: nowhere. */
    bool (*restricted_domain)(const cf_base *base);
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

extern const cf_spec_type cf_normal_type, cf_product_type;

#endif
