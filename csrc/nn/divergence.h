/* The divergence of a network that gives as many numbers as it has features: the trace of its
 * Jacobian with respect to these. */
#ifndef CF_NN_DIVERGENCE_H
#define CF_NN_DIVERGENCE_H

#include "nn/conditioner.h"

/* The outputs of a plain network, as cf_conditioner_emit, and their divergence, one feature: exact.
 * It takes a gradient for each feature, unless the network's method `divergence` knows a shorter
 * way. `squares`, unless NULL, is the sum of the squares of the Jacobian, one feature, for which
 * there is none. */
cf_value cf_emit_divergence(const cf_conditioner *network, cf_builder *b, cf_value x,
                            cf_value context, cf_value *divergence, cf_value *squares);

/* The same with Hutchinson's estimate of the divergence, the mean of v J v over `probes` vectors v
 * of random signs, and of the sum of squares, that of |v J|^2; `noise` is uniform on (0, 1), a
 * number for each feature of each. */
cf_value cf_estimate_divergence(const cf_conditioner *network, cf_builder *b, cf_value x,
                                cf_value context, size_t probes, cf_value noise,
                                cf_value *divergence, cf_value *squares);

#endif
