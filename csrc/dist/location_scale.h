/* Families of independent features, u = loc + scale z, with loc and scale given, learned, or set by
 * a network from the context: what normal, Laplace, logistic and Student-t bases share. */
#ifndef CF_DIST_LOCATION_SCALE_H
#define CF_DIST_LOCATION_SCALE_H

#include "dist/numbers.h"

typedef struct {
    cf_numbers numbers; /* loc and scale */
} cf_location_scale;

/* Reads the options below. */
cf_status cf_location_scale_bind(cf_location_scale *out, cf_base *base, cf_binding *binding);

/* z of u; *log_det is what is to be subtracted from the log-density of z, or CF_NO_VALUE. */
cf_value cf_location_scale_remove(const cf_location_scale *given, const cf_base *base,
                                  cf_builder *b, cf_value u, cf_value context, cf_value *log_det);

/* u of z. */
cf_value cf_location_scale_apply(const cf_location_scale *given, const cf_base *base, cf_builder *b,
                                 cf_value z, cf_value context);

/* loc and scale of one feature. */
cf_components cf_location_scale_components(const cf_base *base, cf_builder *b, cf_value context);

cf_status cf_location_scale_check(const cf_spec *spec);

/* Lines of a base's table of options. */
#define CF_LOCATION_SCALE_OPTIONS                                                                  \
    CF_NUMBER_OPTION("loc", "The centre, one number or one a feature; None is 0."),                \
        CF_NUMBER_OPTION("scale", "The scale, one positive number or one a feature; None is 1."),  \
        CF_LEARNED_OPTION(                                                                         \
            "Whether loc and log(scale) are parameters, `base.loc` and `base.log_scale`, "         \
            "that start at these values."),                                                        \
        CF_CONDITIONER_OPTION(                                                                     \
            "In a flow with context: a network whose outputs, of the context, are loc and "        \
            "log(scale) of all features; it starts at 0 and 1.")

#endif
