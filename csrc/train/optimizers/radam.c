/* Rectified Adam: Liu et al. 2020, arXiv:1908.03265, algorithm 2. */
#include "train/optimizers/adam_update.h"
#include "train/optimizers/options.h"

/* The length of the approximated moving average from which on steps are adaptive: the paper says
 * above 4, its authors' code and torch above 5. */
static const double TRACTABLE = 5.0;

static void prepare(const cf_spec *spec, const cf_gradient_step *step, void *numbers) {
    cf_adam_numbers *adam = numbers;
    *adam = cf_adam_numbers_of(spec, step);
    adam->decay = cf_spec_real(spec, "weight_decay");
    double t = (double)step->number, decayed = pow(adam->beta2, t);
    double longest = 2.0 / (1.0 - adam->beta2) - 1.0;
    double length = longest - 2.0 * t * decayed / (1.0 - decayed);
    adam->adaptive = length > TRACTABLE;
    if (length > TRACTABLE)
        adam->rate *= sqrt((length - 4.0) * (length - 2.0) * longest /
                           ((longest - 4.0) * (longest - 2.0) * length));
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

const cf_spec_type cf_radam_type = {
    .name = "RAdam",
    .role = "optimizer",
    .doc =
        "Rectified Adam, whose first steps need no warm-up.\n\n"
        "As `Adam`, but steps are multiplied by ``sqrt((rho - 4) (rho - 2) rho_oo / ((rho_oo - 4)\n"
        "(rho_oo - 2) rho))`` in step t, where ``rho_oo = 2 / (1 - beta2) - 1`` and ``rho = "
        "rho_oo\n"
        "- 2 t beta2^t / (1 - beta2^t)``; while ``rho`` is at most 5 the step is\n"
        "``-learning_rate m'``. (The paper has 4 there; 5 is of its authors' code.)\n"
        "`weight_decay` times the parameter is added to its gradient, after clipping.\n\n"
        "References\n----------\n"
        "Liu et al. 2020, On the variance of the adaptive learning rate and beyond,\n"
        "arXiv:1908.03265, algorithm 2.\n\n"
        "Examples\n--------\n"
        ">>> import cflows as cf\n"
        ">>> cf.RAdam(3e-4)\n"
        "RAdam(learning_rate=0.0003)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
