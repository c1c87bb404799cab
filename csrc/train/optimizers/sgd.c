/* Stochastic gradient descent with momentum, as in Sutskever et al. 2013. */
#ifndef CF_FN

#include "train/optimizers/optimizer.h"
#include "train/optimizers/options.h"

#define CF_BODY "train/optimizers/sgd.c"

typedef struct {
    double clip, rate, momentum, decay;
} sgd_numbers;

typedef void (*sgd_kernel)(const sgd_numbers *s, size_t n, const void *gradient, void *momentum,
                           void *parameter);

#include "simd/instantiate.h"

static const sgd_kernel sgd_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(sgd);

static void prepare(const cf_spec *spec, const cf_gradient_step *step, void *numbers) {
    *(sgd_numbers *)numbers =
        (sgd_numbers){.clip = step->clip,
                      .rate = cf_spec_real(spec, "learning_rate") * step->schedule,
                      .momentum = cf_spec_real(spec, "momentum"),
                      .decay = cf_spec_real(spec, "weight_decay")};
}

static void update(const cf_update *u, cf_dtype dtype) {
    sgd_kernels[cf_simd()][dtype](u->numbers, u->count, u->gradient, u->state[0], u->parameter);
}

static const char *const arrays[] = {"momentum", NULL};

static const cf_optimizer_methods methods = {
    .arrays = arrays,
    .prepare = prepare,
    .update = update,
};

static const cf_option options[] = {
    CF_LEARNING_RATE(1e-2),
    CF_MOMENTUM(0.0),
    CF_WEIGHT_DECAY(0.0),
};

const cf_spec_type cf_sgd_type = {
    .name = "SGD",
    .role = "optimizer",
    .doc =
        "Stochastic gradient descent, with momentum.\n\n"
        "``m = momentum m + g``, and the step is ``-learning_rate m``. `weight_decay` times the\n"
        "parameter is added to its gradient ``g``, after clipping.\n\n"
        "References\n----------\n"
        "Sutskever et al. 2013, On the importance of initialization and momentum in deep\n"
        "learning, equations 1 and 2, with the rate outside of the momentum.\n\n"
        "Examples\n--------\n"
        ">>> import cflows as cf\n"
        ">>> cf.SGD(0.1, momentum=0.9)\n"
        "SGD(learning_rate=0.1, momentum=0.9)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};

#else

static inline void CF_FN(sgd_vector)(const sgd_numbers *s, vreal g, vreal *m, vreal *p) {
    g = v_fma(v_set1((real)s->decay), *p, g * v_set1((real)s->clip));
    *m = v_fma(v_set1((real)s->momentum), *m, g);
    *p = v_fma(v_set1((real)-s->rate), *m, *p);
}

static void CF_FN(sgd)(const sgd_numbers *s, size_t n, const void *gradient, void *momentum,
                       void *parameter) {
    const sgd_numbers numbers = *s; /* which no store can change */
    const real *g = gradient;
    real *m = momentum, *p = parameter;
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        vreal vm = v_load(m + i), vp = v_load(p + i);
        CF_FN(sgd_vector)(&numbers, v_load(g + i), &vm, &vp);
        v_store(m + i, vm);
        v_store(p + i, vp);
    }
    if (i < n) {
        vreal vm = v_load_n(m + i, n - i), vp = v_load_n(p + i, n - i);
        CF_FN(sgd_vector)(&numbers, v_load_n(g + i, n - i), &vm, &vp);
        v_store_n(m + i, vm, n - i);
        v_store_n(p + i, vp, n - i);
    }
}

#endif
