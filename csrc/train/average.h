/* The exponential moving average of a model's weights: after step t it moves by 1 - d towards them,
 * d = min(decay, (1 + t) / (10 + t)), so that early weights are soon forgotten. Running statistics
 * and frozen parameters are taken as they are. All functions do nothing if there is no average. */
#ifndef CF_TRAIN_AVERAGE_H
#define CF_TRAIN_AVERAGE_H

#include "model/model.h"

/* Starts as all zero: there is none. */
typedef struct {
    double *weights; /* of the parameter slab's layout; NULL: there is no average */
    void *others;    /* while swapped: the model's own */
    double decay;
    bool swapped;
} cf_average;

cf_status cf_average_new(cf_average *out, const cf_model *model, double decay);
void cf_average_free(cf_average *average);

/* Begins at the model's weights. */
void cf_average_start(cf_average *average, const cf_model *model);

/* Adds the weights after step number `step`, from 1. */
void cf_average_add(cf_average *average, const cf_model *model, uint64_t step);

/* Puts the average in place of the weights, for good. */
void cf_average_put(cf_average *average, cf_model *model);

/* Exchanges the weights and their average, rounded to the dtype; and back. */
void cf_average_swap(cf_average *average, cf_model *model);

#endif
