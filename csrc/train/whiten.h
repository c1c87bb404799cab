/* Whitening: what the data decide of a triangular matrix before the first step. */
#ifndef CF_TRAIN_WHITEN_H
#define CF_TRAIN_WHITEN_H

#include "flow/flow.h"
#include "train/data.h"

/* If the last layer, or the last before the fixed maps beside the data, is a Triangular that data
 * set, and it is as it started or `again`, sets it to the Cholesky factor of the weighted
 * covariance C of what it sees of up to 100,000 rows, with their noise on [0, jitter), by feature,
 * if any; and its bias, if it has one, to the mean.
 *
 * Of p columns and n rows C is shrunk to (1 - s) C + s diag(C), s = min(1, (p / n)^2 + 64 unit)
 * with the dtype's unit: the factor of too few rows, or of columns that are nearly a linear
 * function of others, is not singular. */
cf_status cf_whiten(cf_flow *flow, const cf_data *data, const double *jitter, bool again);

#endif
