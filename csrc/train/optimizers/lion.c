/* Lion: Chen et al. 2023, arXiv:2302.06675, algorithm 2. */
#ifndef CF_FN

#include "train/optimizers/optimizer.h"
#include "train/optimizers/options.h"

#define CF_BODY "train/optimizers/lion.c"

typedef struct {
    double clip, rate, shrink, beta1, beta2;
} lion_numbers;

typedef void (*lion_kernel)(const lion_numbers *s, size_t n, const void *gradient, void *momentum,
                            void *parameter);

#include "simd/instantiate.h"

static const lion_kernel lion_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(lion);

static void prepare(const cf_spec *spec, const cf_gradient_step *step, void *numbers) {
    double rate = cf_spec_real(spec, "learning_rate") * step->schedule;
    *(lion_numbers *)numbers =
        (lion_numbers){.clip = step->clip,
                       .rate = rate,
                       .shrink = 1.0 - rate * cf_spec_real(spec, "weight_decay"),
                       .beta1 = cf_spec_real(spec, "beta1"),
                       .beta2 = cf_spec_real(spec, "beta2")};
}

static void update(const cf_update *u, cf_dtype dtype) {
    lion_kernels[cf_simd()][dtype](u->numbers, u->count, u->gradient, u->state[0], u->parameter);
}

static const char *const arrays[] = {"momentum", NULL};

static const cf_optimizer_methods methods = {
    .arrays = arrays,
    .prepare = prepare,
    .update = update,
};

static const cf_option options[] = {
    CF_LEARNING_RATE(1e-4),
    CF_REAL_OPTION("beta1", 0.9, CF_RANGE_BELOW_ONE,
                   "The part of the momentum in what decides the signs."),
    CF_REAL_OPTION("beta2", 0.99, CF_RANGE_BELOW_ONE,
                   "The part of the momentum that a step keeps."),
    CF_DECOUPLED_WEIGHT_DECAY(0.0),
};

const cf_spec_type cf_lion_type = {
    .name = "Lion",
    .role = "optimizer",
    .doc =
        "Lion, evolved sign momentum: every parameter moves by the learning rate.\n\n"
        "The step is ``-learning_rate sign(beta1 m + (1 - beta1) g)``, 0 where that is 0; after\n"
        "it ``m = beta2 m + (1 - beta2) g``. Before it, parameters shrink by ``1 - learning_rate\n"
        "weight_decay``. It wants a rate 3 to 10 times below `AdamW`'s, and as many times its\n"
        "`weight_decay`.\n\n"
        "References\n----------\n"
        "Chen et al. 2023, Symbolic discovery of optimization algorithms, arXiv:2302.06675,\n"
        "algorithm 2.\n\n"
        "Examples\n--------\n"
        ">>> import cflows as cf\n"
        ">>> cf.Lion(weight_decay=0.1)\n"
        "Lion(weight_decay=0.1)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};

#else

static inline void CF_FN(lion_vector)(const lion_numbers *s, vreal g, vreal *m, vreal *p) {
    vreal zero = v_set1(0), rate = v_set1((real)s->rate);
    g *= v_set1((real)s->clip);
    vreal mean = v_fma(v_set1((real)s->beta1), *m - g, g);
    vreal step = v_select(v_lt(zero, mean), rate, v_select(v_lt(mean, zero), -rate, zero));
    *m = v_fma(v_set1((real)s->beta2), *m - g, g);
    *p = *p * v_set1((real)s->shrink) - step;
}

static void CF_FN(lion)(const lion_numbers *s, size_t n, const void *gradient, void *momentum,
                        void *parameter) {
    const lion_numbers numbers = *s; /* which no store can change */
    const real *g = gradient;
    real *m = momentum, *p = parameter;
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        vreal vm = v_load(m + i), vp = v_load(p + i);
        CF_FN(lion_vector)(&numbers, v_load(g + i), &vm, &vp);
        v_store(m + i, vm);
        v_store(p + i, vp);
    }
    if (i < n) {
        vreal vm = v_load_n(m + i, n - i), vp = v_load_n(p + i, n - i);
        CF_FN(lion_vector)(&numbers, v_load_n(g + i, n - i), &vm, &vp);
        v_store_n(m + i, vm, n - i);
        v_store_n(p + i, vp, n - i);
    }
}

#endif
