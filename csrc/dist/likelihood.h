/* Likelihoods: distributions of data whose parameters a network gives for every feature, as
 * unconstrained parameters that may have any value: all first ones, then all second ones and so
 * on. */
#ifndef CF_DIST_LIKELIHOOD_H
#define CF_DIST_LIKELIHOOD_H

#include "base/spec.h"
#include "engine/program.h"

typedef struct {
    /* How many unconstrained parameters a feature has. */
    size_t (*param_count)(const cf_spec *spec);
    /* The log-density, or log-probability, of x: one feature. */
    cf_value (*log_prob)(const cf_spec *spec, cf_builder *b, cf_value params, cf_value x);
    /* Random x of so many features, from the random numbers of `stream`. */
    cf_value (*draw)(const cf_spec *spec, cf_builder *b, cf_value params, size_t features,
                     uint32_t stream);
    /* Their mean. */
    cf_value (*mean)(const cf_spec *spec, cf_builder *b, cf_value params, size_t features);
} cf_likelihood_methods;

static inline const cf_likelihood_methods *cf_likelihood_methods_of(const cf_spec *spec) {
    return cf_spec_type_of(spec)->methods;
}

/* Names that stand for likelihoods as they are by default, ending in NULL. */
extern const char *const cf_likelihood_names[];

/* The spec that the option "likelihood" of `spec` holds or names; the caller frees it. */
cf_status cf_likelihood_spec(const cf_spec *spec, cf_spec **out);

extern const cf_spec_type cf_bernoulli_likelihood_type, cf_normal_likelihood_type,
    cf_categorical_likelihood_type, cf_logistic_likelihood_type;

#endif
