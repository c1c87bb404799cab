/* Adam: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1. */
#include "train/optimizers/adam_update.h"
#include "train/optimizers/options.h"

static void prepare(const cf_spec *spec, const cf_gradient_step *step, void *numbers) {
    cf_adam_numbers *adam = numbers;
    *adam = cf_adam_numbers_of(spec, step);
    adam->decay = cf_spec_real(spec, "weight_decay");
}

static const cf_optimizer_methods methods = {
    .arrays = cf_adam_arrays,
    .check = cf_adam_check,
    .prepare = prepare,
    .update = cf_adam_update_chunk,
};

static const cf_option options[] = {
    CF_LEARNING_RATE(1e-3), CF_BETA1(0.9), CF_BETA2(0.999), CF_EPSILON(1e-8), CF_WEIGHT_DECAY(0.0),
};

const cf_spec_type cf_adam_type = {
    .name = "Adam",
    .role = "optimizer",
    .doc =
        "Adam: each parameter's step is its mean gradient over the root of the mean square.\n\n"
        "``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``, and the step is\n"
        "``-learning_rate m' / (sqrt(v') + epsilon)`` with ``m'`` and ``v'`` corrected for their\n"
        "start at 0: ``m' = m / (1 - beta1^t)``, ``v' = v / (1 - beta2^t)`` in step t.\n"
        "`weight_decay` times the parameter is added to its gradient ``g``, after clipping.\n\n"
        "References\n----------\n"
        "Kingma and Ba 2015, Adam: a method for stochastic optimization, arXiv:1412.6980,\n"
        "algorithm 1.\n\n"
        "Examples\n--------\n"
        ">>> import cflows as cf\n"
        ">>> cf.Adam(3e-4, beta2=0.99)\n"
        "Adam(learning_rate=0.0003, beta2=0.99)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
