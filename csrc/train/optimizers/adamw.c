/* AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2. */
#include "train/optimizers/adam_update.h"
#include "train/optimizers/options.h"

static void prepare(const cf_spec *spec, const cf_gradient_step *step, void *numbers) {
    cf_adam_numbers *adam = numbers;
    *adam = cf_adam_numbers_of(spec, step);
    adam->shrink = 1.0 - adam->rate * cf_spec_real(spec, "weight_decay");
}

static const cf_optimizer_methods methods = {
    .arrays = cf_adam_arrays,
    .check = cf_adam_check,
    .prepare = prepare,
    .update = cf_adam_update_chunk,
};

static const cf_option options[] = {
    CF_LEARNING_RATE(1e-3),          CF_BETA1(0.9), CF_BETA2(0.999), CF_EPSILON(1e-8),
    CF_DECOUPLED_WEIGHT_DECAY(0.01),
};

const cf_spec_type cf_adamw_type = {
    .name = "AdamW",
    .role = "optimizer",
    .doc =
        "Adam with decoupled weight decay.\n\n"
        "Before the step of `Adam`, parameters shrink by ``1 - learning_rate weight_decay``. The\n"
        "rate is the schedule's, so that the decay follows it.\n\n"
        "References\n----------\n"
        "Loshchilov and Hutter 2019, Decoupled weight decay regularization, arXiv:1711.05101,\n"
        "algorithm 2.\n\n"
        "Examples\n--------\n"
        ">>> import cflows as cf\n"
        ">>> cf.AdamW(3e-4, weight_decay=0.1).weight_decay\n"
        "0.1",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
