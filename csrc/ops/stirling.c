/* The remainder of Stirling's formula for log gamma, and its first two derivatives: those are
 * digamma(x) - log(x) + 1 / (2 x) and trigamma(x) - 1 / x - 1 / (2 x^2). */
#ifndef CF_FN

#include "ops/elementwise.h"
#include "ops/special.h"

#define CF_BODY "ops/stirling.c"
#include "simd/instantiate.h"

typedef struct {
    cf_op op;
    const cf_op *derivative;
} stirling_order;

static void rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                 const bool *needed, cf_value *dx) {
    const stirling_order *r = (const void *)node->op; /* its first member */
    (void)out;
    (void)needed;
    dx[0] = cf_multiply(b, dout, cf_unary_op(b, r->derivative, node->operand[0]));
}

static const cf_op second_op = {
    .name = "second derivative of stirling",
    .flags = CF_OP_ELEMENTWISE,
    .elementwise = CF_VERSIONS(stirling_second),
};

static const stirling_order first = {{.name = "derivative of stirling",
                                      .flags = CF_OP_ELEMENTWISE,
                                      .elementwise = CF_VERSIONS(stirling_first),
                                      .gradient = rule},
                                     &second_op};

static const stirling_order value = {{.name = "stirling",
                                      .flags = CF_OP_ELEMENTWISE,
                                      .elementwise = CF_VERSIONS(stirling),
                                      .gradient = rule},
                                     &first.op};

cf_value cf_stirling(cf_builder *b, cf_value x) {
    return cf_unary_op(b, &value.op, x);
}

#else

#include "ops/elementwise.h"

/* Binet's series in 1 / x from x = 8 on; below, that of x + 8, by gamma(x + 1) = x gamma(x). */
#undef STIRLING_SHIFT
#define STIRLING_SHIFT 8

#undef STIRLING_SERIES
#define STIRLING_SERIES(table, r)                                                                  \
    CF_FN(stirling_series)(table, (int)(sizeof table / sizeof *table), r)

CF_INLINE vreal CF_FN(stirling_series)(const double *table, int count, vreal r) {
    vreal square = r * r, sum = v_set1((real)table[count - 1]);
    for (int k = count - 2; k >= 0; k--)
        sum = v_fma(sum, square, v_set1((real)table[k]));
    return sum;
}

CF_INLINE vreal CF_FN(stirling_of)(vreal x) {
    static const double table[] = {1.0 / 12,    -1.0 / 360,       1.0 / 1260,
                                   -1.0 / 1680, 1.0 / 1188,       -691.0 / 360360,
                                   1.0 / 156,   -3617.0 / 122400, 43867.0 / 244188};
    vreal shift = v_set1(STIRLING_SHIFT), far = x + shift, product = v_set1(1);
    vmask large = v_le(shift, x);
    vreal r = v_set1(1) / v_select(large, x, far);
    vreal series = r * STIRLING_SERIES(table, r);
    for (int j = 1; j < STIRLING_SHIFT; j++)
        product = product * ((x + v_set1((real)j)) / far);
    vreal log_x = v_log(x), log_far = v_log(far), half = v_set1((real)0.5);
    /* (x - 1/2) log(far / x) - log(x / far), in which that of small x is but half of it. */
    vreal logs = (x + half) * (log_far - log_x) - v_log(product) - shift;
    return v_select(large, series, series + logs);
}

CF_INLINE vreal CF_FN(stirling_first_of)(vreal x) {
    static const double table[] = {-1.0 / 12, 1.0 / 120,     -1.0 / 252,
                                   1.0 / 240, -1.0 / 132,    691.0 / 32760,
                                   -1.0 / 12, 3617.0 / 8160, -43867.0 / 14364};
    vreal shift = v_set1(STIRLING_SHIFT), far = x + shift, one = v_set1(1);
    vmask large = v_le(shift, x);
    vreal r = one / v_select(large, x, far), inverse = one / x, sum = v_set1(0);
    vreal series = r * r * STIRLING_SERIES(table, r);
    for (int j = 1; j < STIRLING_SHIFT; j++)
        sum = sum + one / (x + v_set1((real)j));
    /* digamma(far) - log(far) + 1 / (2 far) is the series. */
    vreal near = series + v_log(far) - v_log(x) - v_set1((real)0.5) / far - sum;
    return v_select(large, series, near - v_set1((real)0.5) * inverse);
}

CF_INLINE vreal CF_FN(stirling_second_of)(vreal x) {
    static const double table[] = {1.0 / 6,       -1.0 / 30, 1.0 / 42,      -1.0 / 30,    5.0 / 66,
                                   -691.0 / 2730, 7.0 / 6,   -3617.0 / 510, 43867.0 / 798};
    vreal shift = v_set1(STIRLING_SHIFT), far = x + shift, one = v_set1(1),
          half = v_set1((real)0.5);
    vmask large = v_le(shift, x);
    vreal r = one / v_select(large, x, far), inverse = one / x, sum = v_set1(0);
    vreal series = r * r * r * STIRLING_SERIES(table, r);
    for (int j = 1; j < STIRLING_SHIFT; j++) {
        vreal term = one / (x + v_set1((real)j));
        sum = v_fma(term, term, sum);
    }
    vreal rest = r + half * r * r + sum - inverse;
    return v_select(large, series, series + rest + half * inverse * inverse);
}

CF_UNARY(stirling, CF_FN(stirling_of)(x))
CF_UNARY(stirling_first, CF_FN(stirling_first_of)(x))
CF_UNARY(stirling_second, CF_FN(stirling_second_of)(x))

#endif
