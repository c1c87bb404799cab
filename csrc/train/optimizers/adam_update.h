/* The update that Adam and its kin share. */
#ifndef CF_TRAIN_OPTIMIZERS_ADAM_UPDATE_H
#define CF_TRAIN_OPTIMIZERS_ADAM_UPDATE_H

#include "train/optimizers/optimizer.h"

/* The numbers of one step: with g = clip gradient + decay parameter,
 *
 *     m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
 *     parameter = shrink parameter - rate correction1 m / (sqrt(correction2 v) + epsilon)
 *
 * where the denominator is 1 unless `adaptive`. */
typedef struct {
    double clip, rate, decay, shrink;
    double beta1, beta2, epsilon;
    double correction1, correction2; /* 1 / (1 - beta^step) */
    double adaptive;                 /* 0 or 1 */
} cf_adam_numbers;

/* Sets all from these, with no decay of weights. */
typedef struct {
    double learning_rate, beta1, beta2, epsilon;
} cf_adam_options;
cf_adam_numbers cf_adam_numbers_from(const cf_adam_options *options, const cf_gradient_step *step);

/* The same with the spec's options of these names. */
cf_adam_numbers cf_adam_numbers_of(const cf_spec *spec, const cf_gradient_step *step);

/* Of moments state[0], m, and state[1], v. */
void cf_adam_update(const cf_adam_numbers *numbers, const cf_update *update, cf_dtype dtype);

/* Methods: update with cf_adam_numbers; whether epsilon and betas survive in the dtype. */
void cf_adam_update_chunk(const cf_update *update, cf_dtype dtype);
cf_status cf_adam_check(const cf_spec *spec, cf_dtype dtype);
cf_status cf_adam_check_options(const char *owner, const cf_adam_options *options, cf_dtype dtype);

extern const char *const cf_adam_arrays[]; /* "first_moment", "second_moment" */

#endif
