/* Sums of squared polynomials, integrated, as a transform. */
#include "base/quadrature.h"
#include "layers/monotone.h"
#include "layers/transform.h"
#include "ops/ops.h"

enum { MAX_POLYNOMIALS = 64, MAX_DEGREE = 32 };

/* What the map is made of, for n features: coefficients[j] has those of t^j of all polynomials, one
 * polynomial after the other. */
typedef struct {
    size_t polynomials, degree, n;
    double slope, bound;
    cf_value constant;
    cf_value coefficients[MAX_DEGREE + 1];
} sum_of_squares;

static size_t param_count(const cf_spec *spec) {
    size_t coefficients = (size_t)cf_spec_int(spec, "degree") + 1;
    return (size_t)cf_spec_int(spec, "polynomials") * coefficients + 1;
}

/* Coefficients j of all polynomials, each for `count` points a feature. */
static cf_value coefficients_at(cf_builder *b, const sum_of_squares *s, size_t j, size_t count) {
    cf_value all = CF_NO_VALUE;
    for (size_t i = 0; i < s->polynomials; i++) {
        cf_value one = cf_slice(b, s->coefficients[j], i * s->n, s->n);
        all = cf_concat(b, (cf_value[]){all, cf_repeat_whole(b, one, count)}, 2);
    }
    return all;
}

/* The mean of the squares of [polynomials, size] numbers. */
static cf_value mean_square(cf_builder *b, const sum_of_squares *s, cf_value p, size_t size) {
    cf_value sum = CF_NO_VALUE, square = cf_multiply(b, p, p);
    for (size_t i = 0; i < s->polynomials; i++)
        sum = cf_add_optional(b, sum, cf_slice(b, square, i * size, size));
    return cf_scale_shift(b, sum, 1.0 / (double)s->polynomials, 0.0);
}

/* The mean of g over [0, x], all of whose terms are positive. */
static cf_value mean_density(cf_builder *b, const sum_of_squares *s, cf_value x) {
    size_t count = s->degree + 1;
    double point[MAX_DEGREE + 1], weight[MAX_DEGREE + 1];
    cf_value points = CF_NO_VALUE, p = CF_NO_VALUE, mean = CF_NO_VALUE;
    cf_gauss_legendre(count, point, weight);
    for (size_t q = 0; q < count; q++) {
        cf_value one = cf_scale_shift(b, x, point[q] / s->bound, 0.0);
        points = cf_concat(b, (cf_value[]){points, one}, 2);
    }
    points = cf_repeat_whole(b, points, s->polynomials);
    for (size_t j = s->degree + 1; j-- > 0;) {
        cf_value each = coefficients_at(b, s, j, count);
        p = cf_is_none(p) ? each : cf_add(b, cf_multiply(b, p, points), each);
    }
    p = mean_square(b, s, cf_scale_shift(b, p, 1.0, 1.0), count * s->n);
    for (size_t q = 0; q < count; q++) {
        cf_value part = cf_scale_shift(b, cf_slice(b, p, q * s->n, s->n), weight[q], 0.0);
        mean = cf_add_optional(b, mean, part);
    }
    return cf_scale_shift(b, mean, 1.0, s->slope);
}

/* log(g(x)), which is a number where g(x) overflows: with m = max(1, |x| / B), of g / m^(2 L),
 * whose polynomials are those of (x / B) / m and 1 / m together. */
static cf_value log_density(cf_builder *b, const sum_of_squares *s, cf_value x) {
    cf_value t = cf_scale_shift(b, x, 1.0 / s->bound, 0.0),
             one = cf_constant(b, CF_BATCHED, 1, 1.0);
    cf_value excess = cf_relu(b, cf_scale_shift(b, cf_abs(b, t), 1.0, -1.0));
    cf_value r = cf_divide(b, one, cf_scale_shift(b, excess, 1.0, 1.0)), power = r;
    cf_value at = cf_repeat_whole(b, cf_multiply(b, t, r), s->polynomials);
    cf_value p = s->coefficients[s->degree];
    for (size_t j = s->degree; j-- > 0;) {
        cf_value each = cf_repeat_whole(b, power, s->polynomials);
        each = cf_multiply(b, each, s->coefficients[j]);
        p = cf_add(b, cf_multiply(b, p, at), each);
        if (j > 0)
            power = cf_multiply(b, power, r);
    }
    p = cf_add(b, p, cf_repeat_whole(b, power, s->polynomials));
    cf_value least = cf_scale_shift(b, cf_multiply(b, power, power), s->slope, 0.0);
    cf_value rest = cf_log(b, cf_add(b, mean_square(b, s, p, s->n), least));
    return cf_add(b, rest, cf_scale_shift(b, cf_log1p(b, excess), 2.0 * (double)s->degree, 0.0));
}

static void map(cf_builder *b, const void *context, cf_value x, cf_value *y, cf_value *log_slope) {
    const sum_of_squares *s = context;
    *y = cf_add(b, cf_multiply(b, x, mean_density(b, s, x)), s->constant);
    *log_slope = log_density(b, s, x);
}

static sum_of_squares read(const cf_spec *spec, cf_builder *b, cf_value params, size_t n) {
    sum_of_squares s = {.polynomials = (size_t)cf_spec_int(spec, "polynomials"),
                        .degree = (size_t)cf_spec_int(spec, "degree"),
                        .n = n,
                        .slope = cf_spec_real(spec, "slope"),
                        .bound = cf_spec_real(spec, "bound")};
    size_t each = s.degree + 1;
    for (size_t j = 0; j < each; j++) {
        s.coefficients[j] = CF_NO_VALUE;
        for (size_t i = 0; i < s.polynomials; i++) {
            cf_value one = cf_slice(b, params, (i * each + j) * n, n);
            s.coefficients[j] = cf_concat(b, (cf_value[]){s.coefficients[j], one}, 2);
        }
    }
    s.constant = cf_slice(b, params, s.polynomials * each * n, n);
    return s;
}

/* The slope is nowhere less than `slope`, so that the root lies between 0 and (u - constant) /
 * slope. */
static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    const cf_spec *spec = transform->spec;
    (void)features;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    sum_of_squares s = read(spec, b, params, cf_value_size(b, u));
    cf_monotone monotone = {map, &s, sizeof s, CF_NO_VALUE, CF_NO_VALUE, CF_NO_VALUE, 0.0};
    if (!inverse) {
        cf_value rest = cf_subtract(b, u, s.constant);
        cf_value end = cf_scale_shift(b, rest, 1.0 / s.slope, 0.0);
        cf_value mirrored = cf_relu(b, cf_scale_shift(b, end, -1.0, 0.0));
        monotone.low = cf_scale_shift(b, mirrored, -1.0, 0.0);
        monotone.high = cf_relu(b, end);
        monotone.start = cf_scale_shift(b, rest, 1.0 / (1.0 + s.slope), 0.0);
    }
    return cf_monotone_apply(b, &monotone, u, !inverse, log_det);
}

static cf_status check(const cf_spec *spec) {
    int64_t polynomials = cf_spec_int(spec, "polynomials"), degree = cf_spec_int(spec, "degree");
    double slope = cf_spec_real(spec, "slope"), bound = cf_spec_real(spec, "bound");
    if (polynomials < 1 || polynomials > MAX_POLYNOMIALS)
        return cf_fail(CF_INVALID, "SumOfSquares: polynomials must be from 1 to %d, got %lld",
                       MAX_POLYNOMIALS, (long long)polynomials);
    if (degree < 1 || degree > MAX_DEGREE)
        return cf_fail(CF_INVALID, "SumOfSquares: degree must be from 1 to %d, got %lld",
                       MAX_DEGREE, (long long)degree);
    if (!(slope >= 1e-6 && slope <= 1.0))
        return cf_fail(CF_INVALID, "SumOfSquares: slope must be from 1e-6 to 1, got %g", slope);
    if (!(bound > 0.0))
        return cf_fail(CF_INVALID, "SumOfSquares: bound must be positive, got %g", bound);
    return CF_OK;
}

static const cf_transform_methods methods = {.param_count = param_count, .apply = apply};

static const cf_option options[] = {
    {.name = "polynomials",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(3),
     .doc = "K, the number of squares, from 1 to 64."},
    {.name = "degree",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(4),
     .doc = "L, the degree of the polynomials, from 1 to 32; that of the map is 2 L + 1."},
    {.name = "slope",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1e-3),
     .doc = "Minimum slope, from 1e-6 to 1."},
    {.name = "bound",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(10.0),
     .doc = "B, by which arguments of the polynomials are divided: where most data should lie."},
};

const cf_spec_type cf_sum_of_squares_type = {
    .name = "SumOfSquares",
    .role = "transform",
    .doc =
        "The integral of a mean of squared polynomials.\n\n"
        "``u = constant + integral from 0 to x of g(t) dt``, with ``g(t) = (p_1(t)^2 + ... + "
        "p_K(t)^2) / K + slope``\n"
        "and ``p_i(t) = 1 + a_i0 + a_i1 t / B + ... + a_iL (t / B)^L``; ``log_det`` of data to "
        "base is ``log(g(x))``.\n"
        "The integral is exact, by Gauss-Legendre quadrature of L + 1 points. That direction is a "
        "formula. The\n"
        "other, sampling, solves for ``x`` by Newton's method and bisection, to the last digits of "
        "the dtype.\n"
        "Unconstrained parameters: the coefficients ``a_i0, ..., a_iL`` of each polynomial in "
        "turn, then the\n"
        "constant. Where all are 0, ``u = (1 + slope) x``. Tails are those of a polynomial of "
        "degree 2 L + 1:\n"
        "far out ``u`` grows fast, and may overflow.\n\n"
        "References\n----------\n"
        "Jaini et al. 2019, Sum-of-squares polynomial flow, arXiv:1905.02325.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
