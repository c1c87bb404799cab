/* The elementary functions of simd/math.h on arrays, for test_math.py. */
#ifndef CF_FN

#define CF_BODY "math_functions.c"
#include "simd/instantiate.h"

typedef void (*function)(size_t n, const void *x, void *y);

#define TABLE(name) const function math_##name[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(name)

TABLE(exp);
TABLE(expm1);
TABLE(log);
TABLE(log1p);
TABLE(sigmoid);
TABLE(softplus);
TABLE(tanh);
TABLE(erf);
TABLE(normal_cdf);
TABLE(normal_pdf);
TABLE(sin_2pi);
TABLE(cos_2pi);

#else

#include "simd/math.h"

#undef FUNCTION
#define FUNCTION(name, formula)                                                                    \
    static void CF_FN(name)(size_t n, const void *from, void *to) {                                \
        size_t i = 0;                                                                              \
        for (; i + VL <= n; i += VL) {                                                             \
            vreal x = v_load((const real *)from + i);                                              \
            v_store((real *)to + i, formula);                                                      \
        }                                                                                          \
        vreal x = v_load_n((const real *)from + i, n - i);                                         \
        v_store_n((real *)to + i, formula, n - i);                                                 \
    }

CF_INLINE vreal CF_FN(sine)(vreal x) {
    vreal sine, cosine;
    v_sincos_2pi(x, &sine, &cosine);
    return sine;
}

CF_INLINE vreal CF_FN(cosine)(vreal x) {
    vreal sine, cosine;
    v_sincos_2pi(x, &sine, &cosine);
    return cosine;
}

FUNCTION(exp, v_exp(x))
FUNCTION(expm1, v_expm1(x))
FUNCTION(log, v_log(x))
FUNCTION(log1p, v_log1p(x))
FUNCTION(sigmoid, v_sigmoid(x))
FUNCTION(softplus, v_softplus(x))
FUNCTION(tanh, v_tanh(x))
FUNCTION(erf, v_erf(x))
FUNCTION(normal_cdf, v_normal_cdf(x))
FUNCTION(normal_pdf, v_normal_pdf(x))
FUNCTION(sin_2pi, CF_FN(sine)(x))
FUNCTION(cos_2pi, CF_FN(cosine)(x))

#endif
