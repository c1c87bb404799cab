/* Adam: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1. AdamW: Loshchilov and Hutter 2019,
 * arXiv:1711.05101, algorithm 2. SGD with momentum as in Sutskever et al. 2013. */
#ifndef CF_FN

#include "train/optimizer.h"

#include <stdatomic.h>

#include "base/memory.h"
#include "base/pool.h"

#define CF_BODY "train/optimizer.c"

/* The numbers of one step, as its kernel needs them. */
typedef struct {
    double factor, rate, decay, shrink;
    double beta1, beta2, epsilon;
    double correction1, correction2; /* 1 / (1 - beta^step) */
} step_numbers;

typedef double (*square_kernel)(const void *gradients, size_t n);
typedef void (*update_kernel)(const step_numbers *s, size_t n, const void *gradient, void *first,
                              void *second, void *parameter);
typedef bool (*finite_kernel)(const void *values, size_t n);

#include "simd/instantiate.h"

static const finite_kernel finite_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(all_finite);
static const square_kernel square_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(sum_of_squares);
static const update_kernel adam_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(adam);
static const update_kernel sgd_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(sgd);

enum { STRETCH = 16384 };

static cf_status check_fraction(const char *name, double value) {
    if (value >= 0.0 && value < 1.0)
        return CF_OK;
    return cf_fail(CF_INVALID, "%s must be from 0 to below 1, got %g", name, value);
}

/* A number as the kernels see it. */
static double rounded(double value, cf_dtype dtype) {
    return dtype == CF_FLOAT32 ? (double)(float)value : value;
}

cf_status cf_optimizer_check(const cf_optimizer *o, cf_dtype dtype) {
    const char *name = dtype == CF_FLOAT32 ? "float32" : "float64";
    if (!(o->learning_rate > 0.0 && isfinite(rounded(o->learning_rate, dtype))))
        return cf_fail(CF_INVALID, "learning_rate must be positive and finite, got %g",
                       o->learning_rate);
    if (!(o->weight_decay >= 0.0 && isfinite(o->weight_decay)))
        return cf_fail(CF_INVALID, "weight_decay must be 0 or more, got %g", o->weight_decay);
    if (o->kind == CF_SGD)
        return check_fraction("momentum", o->momentum);
    CF_TRY(check_fraction("beta1", o->beta1));
    CF_TRY(check_fraction("beta2", o->beta2));
    if (!(o->epsilon > 0.0 && isfinite(o->epsilon)))
        return cf_fail(CF_INVALID, "epsilon must be positive and finite, got %g", o->epsilon);
    if (rounded(o->epsilon, dtype) == 0.0 || rounded(o->beta1, dtype) == 1.0 ||
        rounded(o->beta2, dtype) == 1.0)
        return cf_fail(CF_INVALID,
                       "in %s epsilon must differ from 0 and the betas from 1, got epsilon=%g, "
                       "beta1=%.17g, beta2=%.17g",
                       name, o->epsilon, o->beta1, o->beta2);
    return CF_OK;
}

/* Cuts the trainable tensors, neighbours joined, into stretches; writes them if `out` is not NULL.
 */
static size_t cut_stretches(const cf_slab_table *table, cf_stretch *out) {
    size_t count = 0;
    for (size_t i = 0; i < table->count;) {
        if (table->tensors[i].frozen) {
            i++;
            continue;
        }
        size_t first = table->tensors[i].offset, end = first;
        for (; i < table->count && !table->tensors[i].frozen; i++)
            end = table->tensors[i].offset + table->tensors[i].size;
        for (; first < end; first += STRETCH, count++)
            if (out != NULL)
                out[count] = (cf_stretch){first, end - first < STRETCH ? end - first : STRETCH};
    }
    return count;
}

cf_status cf_optimizer_state_new(cf_optimizer_state *out, const cf_slab_table *parameters,
                                 cf_dtype dtype) {
    *out = (cf_optimizer_state){.dtype = dtype, .elements = parameters->elements};
    out->stretch_count = cut_stretches(parameters, NULL);
    cf_status status = cf_alloc(&out->first_moment, out->elements, cf_dtype_size(dtype));
    if (status == CF_OK)
        status = cf_alloc(&out->second_moment, out->elements, cf_dtype_size(dtype));
    if (status == CF_OK)
        status = cf_alloc(&out->stretches, out->stretch_count, sizeof *out->stretches);
    if (status == CF_OK)
        status = cf_alloc(&out->squares, out->stretch_count, sizeof *out->squares);
    if (status != CF_OK)
        cf_optimizer_state_free(out);
    else
        cut_stretches(parameters, out->stretches);
    return status;
}

void cf_optimizer_state_free(cf_optimizer_state *state) {
    cf_free(state->first_moment);
    cf_free(state->second_moment);
    cf_free(state->stretches);
    cf_free(state->squares);
    *state = (cf_optimizer_state){0};
}

/* One pass over all stretches: a job for the pool. */
typedef struct {
    cf_optimizer_state *state;
    atomic_size_t next;
    const char *gradients;
    char *parameters;
    square_kernel square; /* or */
    update_kernel update;
    step_numbers numbers;
} pass;

static void work(void *context, int participant) {
    pass *p = context;
    size_t element = cf_dtype_size(p->state->dtype);
    (void)participant;
    for (;;) {
        size_t i = atomic_fetch_add(&p->next, 1);
        if (i >= p->state->stretch_count)
            return;
        const cf_stretch *s = &p->state->stretches[i];
        size_t at = s->first * element;
        if (p->square != NULL)
            p->state->squares[i] = p->square(p->gradients + at, s->count);
        else
            p->update(&p->numbers, s->count, p->gradients + at, (char *)p->state->first_moment + at,
                      (char *)p->state->second_moment + at, p->parameters + at);
    }
}

static void run_pass(pass *p, int threads) {
    atomic_init(&p->next, 0);
    if ((size_t)threads > p->state->stretch_count)
        threads = p->state->stretch_count > 0 ? (int)p->state->stretch_count : 1;
    cf_pool_run(threads, work, p);
}

bool cf_all_finite(const void *values, size_t n, cf_dtype dtype) {
    return finite_kernels[cf_simd()][dtype](values, n);
}

double cf_gradient_norm(cf_optimizer_state *state, const void *gradients, int threads) {
    pass p = {
        .state = state, .gradients = gradients, .square = square_kernels[cf_simd()][state->dtype]};
    double sum = 0.0;
    run_pass(&p, threads);
    for (size_t i = 0; i < state->stretch_count; i++)
        sum += state->squares[i];
    return sqrt(sum);
}

void cf_optimizer_step(const cf_optimizer *o, cf_optimizer_state *state, uint64_t step,
                       double learning_rate, double factor, const void *gradients, void *parameters,
                       int threads) {
    bool sgd = o->kind == CF_SGD, decoupled = o->kind == CF_ADAMW;
    pass p = {.state = state,
              .gradients = gradients,
              .parameters = parameters,
              .update = (sgd ? sgd_kernels : adam_kernels)[cf_simd()][state->dtype],
              .numbers = {.factor = factor,
                          .rate = learning_rate,
                          .decay = decoupled ? 0.0 : o->weight_decay,
                          .shrink = decoupled ? 1.0 - learning_rate * o->weight_decay : 1.0,
                          .beta1 = sgd ? o->momentum : o->beta1,
                          .beta2 = o->beta2,
                          .epsilon = o->epsilon,
                          .correction1 = 1.0 / (1.0 - pow(o->beta1, (double)step)),
                          .correction2 = 1.0 / (1.0 - pow(o->beta2, (double)step))}};
    run_pass(&p, threads);
}

#else

/* Zero times a number is zero, but NaN if that is infinite or NaN. */
static bool CF_FN(all_finite)(const void *values, size_t n) {
    const real *x = values;
    vreal zero = v_set1(0);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        zero = v_fma(v_load(x + i), v_set1(0), zero);
    if (i < n)
        zero = v_fma(v_load_n(x + i, n - i), v_set1(0), zero);
    return v_sum(zero) == 0;
}

static double CF_FN(sum_of_squares)(const void *gradients, size_t n) {
    enum { BLOCK = 1024 }; /* in the dtype itself; the blocks are added up in float64 */
    const real *g = gradients;
    double sum = 0.0;
    for (size_t first = 0; first < n; first += BLOCK) {
        size_t end = n - first < BLOCK ? n : first + BLOCK, i = first;
        vreal squares = v_set1(0);
        for (; i + VL <= end; i += VL) {
            vreal x = v_load(g + i);
            squares = v_fma(x, x, squares);
        }
        if (i < end) {
            vreal x = v_load_n(g + i, end - i);
            squares = v_fma(x, x, squares);
        }
        sum += (double)v_sum(squares);
    }
    return sum;
}

static inline void CF_FN(adam_vector)(const step_numbers *s, vreal g, vreal *m, vreal *v,
                                      vreal *p) {
    g = v_fma(v_set1((real)s->decay), *p, g * v_set1((real)s->factor));
    *m = v_fma(v_set1((real)s->beta1), *m - g, g);
    *v = v_fma(v_set1((real)s->beta2), *v, v_set1((real)(1.0 - s->beta2)) * g * g);
    vreal root = v_sqrt(*v * v_set1((real)s->correction2)) + v_set1((real)s->epsilon);
    vreal direction = *m * v_set1((real)s->correction1) / root;
    *p = v_fma(v_set1((real)-s->rate), direction, *p * v_set1((real)s->shrink));
}

static void CF_FN(adam)(const step_numbers *s, size_t n, const void *gradient, void *first,
                        void *second, void *parameter) {
    const real *g = gradient;
    real *m = first, *v = second, *p = parameter;
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        vreal vm = v_load(m + i), vv = v_load(v + i), vp = v_load(p + i);
        CF_FN(adam_vector)(s, v_load(g + i), &vm, &vv, &vp);
        v_store(m + i, vm);
        v_store(v + i, vv);
        v_store(p + i, vp);
    }
    if (i < n) {
        vreal vm = v_load_n(m + i, n - i), vv = v_load_n(v + i, n - i), vp = v_load_n(p + i, n - i);
        CF_FN(adam_vector)(s, v_load_n(g + i, n - i), &vm, &vv, &vp);
        v_store_n(m + i, vm, n - i);
        v_store_n(v + i, vv, n - i);
        v_store_n(p + i, vp, n - i);
    }
}

static inline void CF_FN(sgd_vector)(const step_numbers *s, vreal g, vreal *m, vreal *p) {
    g = v_fma(v_set1((real)s->decay), *p, g * v_set1((real)s->factor));
    *m = v_fma(v_set1((real)s->beta1), *m, g);
    *p = v_fma(v_set1((real)-s->rate), *m, *p);
}

static void CF_FN(sgd)(const step_numbers *s, size_t n, const void *gradient, void *first,
                       void *second, void *parameter) {
    const real *g = gradient;
    real *m = first, *p = parameter;
    size_t i = 0;
    (void)second;
    for (; i + VL <= n; i += VL) {
        vreal vm = v_load(m + i), vp = v_load(p + i);
        CF_FN(sgd_vector)(s, v_load(g + i), &vm, &vp);
        v_store(m + i, vm);
        v_store(p + i, vp);
    }
    if (i < n) {
        vreal vm = v_load_n(m + i, n - i), vp = v_load_n(p + i, n - i);
        CF_FN(sgd_vector)(s, v_load_n(g + i, n - i), &vm, &vp);
        v_store_n(m + i, vm, n - i);
        v_store_n(p + i, vp, n - i);
    }
}

#endif
