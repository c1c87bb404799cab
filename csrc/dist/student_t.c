/* Student's t distribution with independent features. */
#include <math.h>

#include "dist/exponential.h"
#include "dist/location_scale.h"
#include "ops/fixed_map.h"
#include "ops/ops.h"

static cf_status bind(cf_base *base, cf_binding *binding) {
    cf_location_scale *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    return cf_location_scale_bind(state, base, binding);
}

/* log gamma(a + 1/2) - log gamma(a): from a + 20 on by an asymptotic series (Tricomi and Erdélyi
 * 1951), whose next term is below 1e-14, and down to a by gamma(a + 1) = a gamma(a). The
 * difference of two lgamma would lose all digits at large a. */
static double log_gamma_ratio(double a) {
    double steps = 0.0;
    for (; a < 20.0; a += 1.0)
        steps += log1p(0.5 / a);
    double r = 1.0 / a, r2 = r * r;
    double series = r * (-1.0 / 8 + r2 * (1.0 / 192 + r2 * (-1.0 / 640 + r2 * (17.0 / 14336))));
    return 0.5 * log(a) + series - steps;
}

static double normalizer(double df) {
    const double log_pi = 1.1447298858494002;
    return log_gamma_ratio(0.5 * df) - 0.5 * (log(df) + log_pi);
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    double df = cf_spec_real(base->spec, "df"), rate = 1.0 / sqrt(df);
    cf_value log_det;
    cf_value z = cf_location_scale_remove(base->state, base, b, u, context, &log_det);
    cf_value t = rate > 1.0 ? z : cf_scale_shift(b, z, rate, 0.0);
    /* The log-slope of arcsinh is -log(1 + t^2) / 2, and t^2 does not overflow there, nor does t if
     * it is left to the map. */
    cf_fixed_map arcsinh = {
        .features = base->features,
        .every = {.kind = rate > 1.0 ? CF_MAP_SCALED_SINH : CF_MAP_SINH, .rate = rate}};
    cf_value tails = cf_fixed_map_log_det(b, t, &arcsinh, true, CF_NO_VALUE);
    cf_value density = cf_scale_shift(b, tails, df + 1.0, (double)base->features * normalizer(df));
    return cf_is_none(log_det) ? density : cf_subtract(b, density, log_det);
}

/* The square root of a positive number. */
static cf_value root(cf_builder *b, cf_value x) {
    return cf_exp(b, cf_scale_shift(b, cf_log(b, x), 0.5, 0.0));
}

/* Bailey 1994, Polar generation of random variates with the t distribution: sqrt(df (u^(-2/df) -
 * 1)) cos(angle), with -log(u) exponential and the angle that of a normal point in the plane. */
static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    size_t n = base->features;
    double df = cf_spec_real(base->spec, "df");
    cf_value power = cf_scale_shift(b, cf_exponential_samples(b, n, stream), 2.0 / df, 0.0);
    /* Its logarithm, since e^power may overflow where the radius does not. */
    cf_value rest = cf_expm1(b, cf_scale_shift(b, power, -1.0, 0.0));
    cf_value both = cf_add(b, power, cf_log(b, cf_scale_shift(b, rest, -1.0, 0.0)));
    /* Of df below 1 its root, since it may overflow where the sample does not. */
    double exponent = df < 1.0 ? 0.25 : 0.5;
    cf_value radius = cf_exp(b, cf_scale_shift(b, both, exponent, exponent * log(df)));
    cf_value x = cf_random_normal_samples(b, n, stream + 1);
    cf_value y = cf_random_normal_samples(b, n, stream + 2);
    cf_value square = cf_add(b, cf_multiply(b, x, x), cf_multiply(b, y, y));
    cf_value z = cf_multiply(b, radius, cf_divide(b, x, root(b, square)));
    if (df < 1.0)
        z = cf_multiply(b, radius, z);
    return cf_location_scale_apply(base->state, base, b, z, context);
}

static cf_status check(const cf_spec *spec) {
    double df = cf_spec_real(spec, "df");
    if (!(df > 0.0))
        return cf_fail(CF_INVALID, "StudentT: df must be positive, got %g", df);
    return cf_location_scale_check(spec);
}

static const cf_base_methods methods = {bind, log_prob, sample, cf_location_scale_components};

static const cf_option options[] = {
    {.name = "df",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(5.0),
     .doc = "Degrees of freedom, the same for all features."},
    CF_LOCATION_SCALE_OPTIONS,
};

const cf_spec_type cf_student_t_type = {
    .name = "StudentT",
    .role = "base",
    .doc = "Student's t distribution with independent features, for data with heavy tails.\n\n"
           "``log_prob(u) = sum_i [c - (df + 1) / 2 log(1 + z_i^2 / df) - log(scale_i)]``, ``z_i "
           "= (u_i -\n"
           "loc_i) / scale_i``, ``c = log gamma((df + 1) / 2) - log gamma(df / 2) - log(pi df) / "
           "2``.\n\n"
           "References\n----------\n"
           "Alexanderson and Henter 2020, Robust model training and generalisation with "
           "Studentising\nflows, arXiv:2006.06599.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
