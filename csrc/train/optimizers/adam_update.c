#ifndef CF_FN

#include "train/optimizers/adam_update.h"

#include <math.h>

#define CF_BODY "train/optimizers/adam_update.c"

typedef void (*adam_kernel)(const cf_adam_numbers *s, size_t n, const void *gradient, void *first,
                            void *second, void *parameter);

#include "simd/instantiate.h"

static const adam_kernel adam_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(adam);

_Static_assert(sizeof(cf_adam_numbers) <= CF_STEP_DOUBLES * sizeof(double), "too many numbers");

const char *const cf_adam_arrays[] = {"first_moment", "second_moment", NULL};

cf_adam_numbers cf_adam_numbers_from(const cf_adam_options *o, const cf_gradient_step *step) {
    return (cf_adam_numbers){.clip = step->clip,
                             .rate = o->learning_rate * step->schedule,
                             .shrink = 1.0,
                             .beta1 = o->beta1,
                             .beta2 = o->beta2,
                             .epsilon = o->epsilon,
                             .correction1 = 1.0 / (1.0 - pow(o->beta1, (double)step->number)),
                             .correction2 = 1.0 / (1.0 - pow(o->beta2, (double)step->number)),
                             .adaptive = 1.0};
}

static cf_adam_options options_of(const cf_spec *spec) {
    return (cf_adam_options){cf_spec_real(spec, "learning_rate"), cf_spec_real(spec, "beta1"),
                             cf_spec_real(spec, "beta2"), cf_spec_real(spec, "epsilon")};
}

cf_adam_numbers cf_adam_numbers_of(const cf_spec *spec, const cf_gradient_step *step) {
    cf_adam_options options = options_of(spec);
    return cf_adam_numbers_from(&options, step);
}

cf_status cf_adam_check_options(const char *owner, const cf_adam_options *o, cf_dtype dtype) {
    if (cf_rounded(o->epsilon, dtype) != 0.0 && cf_rounded(o->beta1, dtype) != 1.0 &&
        cf_rounded(o->beta2, dtype) != 1.0)
        return CF_OK;
    return cf_fail(CF_INVALID,
                   "%s: in float32 epsilon must differ from 0 and the betas from 1, got "
                   "epsilon=%g, beta1=%.17g, beta2=%.17g",
                   owner, o->epsilon, o->beta1, o->beta2);
}

cf_status cf_adam_check(const cf_spec *spec, cf_dtype dtype) {
    cf_adam_options options = options_of(spec);
    return cf_adam_check_options(cf_spec_type_of(spec)->name, &options, dtype);
}

void cf_adam_update(const cf_adam_numbers *numbers, const cf_update *u, cf_dtype dtype) {
    adam_kernels[cf_simd()][dtype](numbers, u->count, u->gradient, u->state[0], u->state[1],
                                   u->parameter);
}

void cf_adam_update_chunk(const cf_update *u, cf_dtype dtype) {
    cf_adam_update(u->numbers, u, dtype);
}

#else

static inline void CF_FN(adam_vector)(const cf_adam_numbers *s, vreal g, vreal *m, vreal *v,
                                      vreal *p) {
    g = v_fma(v_set1((real)s->decay), *p, g * v_set1((real)s->clip));
    *m = v_fma(v_set1((real)s->beta1), *m - g, g);
    *v = v_fma(v_set1((real)s->beta2), *v, v_set1((real)(1.0 - s->beta2)) * g * g);
    vreal direction = *m * v_set1((real)s->correction1);
    if (s->adaptive != 0.0)
        direction /= v_sqrt(*v * v_set1((real)s->correction2)) + v_set1((real)s->epsilon);
    *p = v_fma(v_set1((real)-s->rate), direction, *p * v_set1((real)s->shrink));
}

static void CF_FN(adam)(const cf_adam_numbers *s, size_t n, const void *gradient, void *first,
                        void *second, void *parameter) {
    const cf_adam_numbers numbers = *s; /* which no store can change */
    const real *g = gradient;
    real *m = first, *v = second, *p = parameter;
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        vreal vm = v_load(m + i), vv = v_load(v + i), vp = v_load(p + i);
        CF_FN(adam_vector)(&numbers, v_load(g + i), &vm, &vv, &vp);
        v_store(m + i, vm);
        v_store(v + i, vv);
        v_store(p + i, vp);
    }
    if (i < n) {
        vreal vm = v_load_n(m + i, n - i), vv = v_load_n(v + i, n - i), vp = v_load_n(p + i, n - i);
        CF_FN(adam_vector)(&numbers, v_load_n(g + i, n - i), &vm, &vv, &vp);
        v_store_n(m + i, vm, n - i);
        v_store_n(v + i, vv, n - i);
        v_store_n(p + i, vp, n - i);
    }
}

#endif
