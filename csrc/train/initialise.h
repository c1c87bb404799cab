/* What the data decide before the first step: the standardisation inside the flow, and the values
 * of parameters that are statistics. */
#ifndef CF_TRAIN_INITIALISE_H
#define CF_TRAIN_INITIALISE_H

#include "flow/flow.h"
#include "train/data.h"

/* If an affine map beside the data, or between the data and it fixed maps alone, takes its shift
 * and scale from them, and no fit has set these yet, sets them to the weighted mean and standard
 * deviation of what it sees of the data, with their noise on [0, jitter), by feature, if any
 * (standard deviation 1 for a column without spread). */
cf_status cf_standardize(cf_flow *flow, const cf_data *data, const double *jitter);

/* The same of the context alone; cf_standardize does it too. */
cf_status cf_standardize_context(cf_flow *flow, const cf_data *data);

/* Undoes it, so that the next data set shifts and scales again. */
void cf_forget_standardization(cf_flow *flow);

/* Samples whose statistics initialise parameters, at most. */
enum { CF_INITIALISATION_SAMPLES = 10000 };

/* Data-dependent initialisation: sets the parameters whose initial values are statistics of the
 * data, unless one of them has been changed already; then starts the base where it awaits points.
 * `call`, of the function "initialise", has the
 * rows; of images it reads fewer. The caller has locked the flow. */
cf_status cf_initialise_from_data(cf_flow *flow, const cf_function_call *call);

#endif
