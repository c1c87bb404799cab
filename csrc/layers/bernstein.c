/* Bernstein polynomials with increasing coefficients, as a transform. */
#include <math.h>
#include <string.h>

#include "layers/monotone.h"
#include "layers/transform.h"
#include "ops/ops.h"

enum { MAX_DEGREE = 64, MAX_ORDER = MAX_DEGREE + 5 };

/* The polynomial on [-bound, bound], of n features: those of slope[k] and value[k] are coefficients
 * times the binomial number. */
typedef struct {
    size_t order, n;
    double bound, margin;
    bool identity; /* beyond the bound; else linear, with the slopes at the ends */
    cf_value value[MAX_ORDER + 1], slope[MAX_ORDER];
} bernstein;

static bool has_identity_tails(const cf_spec *spec) {
    return strcmp(cf_spec_string(spec, "tails"), "identity") == 0;
}

static size_t param_count(const cf_spec *spec) {
    return (size_t)cf_spec_int(spec, "degree") + 1;
}

/* The polynomial's degree: the slopes at the ends come twice, so that they do not bend there. */
static size_t order_of(const cf_spec *spec) {
    return param_count(spec) + (has_identity_tails(spec) ? 4 : 1);
}

/* ---- coefficients ---- */

/* The slope's, such that the mean is 1, and those at the ends are. */
static void identity_slopes(cf_builder *b, cf_value params, size_t count, size_t n,
                            cf_value *slope) {
    cf_value sum = cf_log_sum_exp_groups(b, cf_transpose(b, params, count), n);
    cf_value share = cf_exp(b, cf_subtract(b, params, cf_repeat_whole(b, sum, count)));
    cf_value one = cf_constant(b, cf_value_kind(b, params), n, 1.0);
    slope[0] = slope[1] = slope[count + 2] = slope[count + 3] = one;
    for (size_t k = 0; k < count; k++)
        slope[2 + k] = cf_scale_shift(b, cf_slice(b, share, k * n, n), (double)count, 0.0);
}

/* The slope's from increments of the value's. */
static void linear_slopes(cf_builder *b, const cf_spec *spec, cf_value params, size_t count,
                          size_t n, cf_value *slope) {
    double least = cf_spec_real(spec, "minimum_slope");
    double factor = (double)order_of(spec) / (2.0 * cf_spec_real(spec, "bound"));
    for (size_t k = 1; k < count; k++) {
        cf_value one = cf_softplus(b, cf_slice(b, params, k * n, n));
        slope[k] = cf_scale_shift(b, one, factor, least);
    }
    slope[0] = slope[1];
    slope[count] = slope[count - 1];
}

/* Makes of the slope's coefficients those of the value, from `first` on, and multiplies both by
 * binomial numbers. */
static void finish(cf_builder *b, bernstein *s, cf_value first) {
    double step = 2.0 * s->bound / (double)s->order, binomial = 1.0;
    s->value[0] = first;
    for (size_t k = 0; k < s->order; k++)
        s->value[k + 1] = cf_add(b, s->value[k], cf_scale_shift(b, s->slope[k], step, 0.0));
    if (s->identity)
        s->value[s->order] = cf_constant(b, cf_value_kind(b, first), s->n, s->bound);
    for (size_t k = 0; k <= s->order; k++) {
        s->value[k] = cf_scale_shift(b, s->value[k], binomial, 0.0);
        binomial = binomial * (double)(s->order - k) / (double)(k + 1);
    }
    binomial = 1.0;
    for (size_t k = 0; k < s->order; k++) {
        s->slope[k] = cf_scale_shift(b, s->slope[k], binomial, 0.0);
        binomial = binomial * (double)(s->order - 1 - k) / (double)(k + 1);
    }
}

/* Where the first coefficient starts: half of the way that increments of log(2) go. */
static double first_offset(size_t count) {
    return -0.5 * log(2.0) * (double)count;
}

static bernstein read(const cf_spec *spec, cf_builder *b, cf_value params, size_t n) {
    size_t count = param_count(spec);
    bernstein s = {.order = order_of(spec),
                   .n = n,
                   .bound = cf_spec_real(spec, "bound"),
                   .margin = cf_spec_real(spec, "margin"),
                   .identity = has_identity_tails(spec)};
    if (s.identity) {
        identity_slopes(b, params, count, n, s.slope);
        finish(b, &s, cf_constant(b, cf_value_kind(b, params), n, -s.bound));
    } else {
        cf_value first = cf_slice(b, params, 0, n);
        linear_slopes(b, spec, params, count, n, s.slope);
        finish(b, &s, cf_scale_shift(b, first, 1.0, first_offset(count)));
    }
    return s;
}

/* ---- evaluation ---- */

/* 1, t, t^2, ..., t^last, by doubling. */
static cf_value powers(cf_builder *b, cf_value t, size_t last, size_t n) {
    cf_value all = cf_constant(b, CF_BATCHED, n, 1.0), power = t;
    for (size_t count = 1; count <= last; count *= 2) {
        size_t more = count < last + 1 - count ? count : last + 1 - count;
        cf_value part = cf_slice(b, all, 0, more * n);
        part = cf_multiply(b, part, cf_repeat_whole(b, power, more));
        all = cf_concat(b, (cf_value[]){all, part}, 2);
        power = cf_multiply(b, power, power);
    }
    return all;
}

/* The sum of coefficient[k] t^k (1 - t)^(degree - k). All powers are positive, and of the slope all
 * terms. */
static cf_value evaluate(cf_builder *b, const cf_value *coefficient, size_t degree, size_t n,
                         cf_value up, cf_value down) {
    cf_value reversed = CF_NO_VALUE, all = CF_NO_VALUE;
    for (size_t k = 0; k <= degree; k++) {
        cf_value one = cf_slice(b, down, (degree - k) * n, n);
        reversed = cf_concat(b, (cf_value[]){reversed, one}, 2);
        all = cf_concat(b, (cf_value[]){all, coefficient[k]}, 2);
    }
    cf_value basis = cf_multiply(b, cf_slice(b, up, 0, (degree + 1) * n), reversed);
    cf_value terms = cf_multiply(b, basis, all);
    return cf_sum_groups(b, cf_transpose(b, terms, degree + 1), n);
}

/* Replaces y by x, shifted by the margin, and log_slope by 0, from the ends on. */
static void leave_beyond(cf_builder *b, const bernstein *s, double end, cf_value x, cf_value *y,
                         cf_value *log_slope) {
    cf_value above = cf_greater_equal(b, x, end);
    cf_value below = cf_greater_equal(b, cf_scale_shift(b, x, -1.0, 0.0), end);
    cf_value beyond = cf_add(b, above, below), inside = cf_scale_shift(b, beyond, -1.0, 1.0);
    *y = cf_add(b, cf_multiply(b, *y, inside), cf_multiply(b, x, beyond));
    *log_slope = cf_multiply(b, *log_slope, inside);
    if (s->margin > 0.0) {
        cf_value side = cf_subtract(b, above, below);
        *y = cf_add(b, *y, cf_scale_shift(b, side, 2.0 * s->bound * s->margin, 0.0));
    }
}

static void map(cf_builder *b, const void *context, cf_value x, cf_value *y, cf_value *log_slope) {
    const bernstein *s = context;
    double end = s->bound * (1.0 - 2.0 * s->margin), per_width = 0.5 / s->bound;
    cf_value inside = cf_clamp(b, x, -end, end);
    cf_value t = cf_scale_shift(b, cf_scale_shift(b, inside, 1.0, s->bound), per_width, 0.0);
    cf_value rest = cf_scale_shift(b, cf_scale_shift(b, inside, -1.0, s->bound), per_width, 0.0);
    cf_value up = powers(b, t, s->order, s->n), down = powers(b, rest, s->order, s->n);
    cf_value slope = evaluate(b, s->slope, s->order - 1, s->n, up, down);
    *y = evaluate(b, s->value, s->order, s->n, up, down);
    *log_slope = cf_log(b, slope);
    if (s->identity)
        leave_beyond(b, s, end, x, y, log_slope);
    else
        *y = cf_add(b, *y, cf_multiply(b, cf_subtract(b, x, inside), slope));
}

/* Where tails are the identity, no x is further from u than the interval is wide. */
static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    const cf_spec *spec = transform->spec;
    (void)features;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    bernstein s = read(spec, b, params, cf_value_size(b, u));
    cf_monotone monotone = {map, &s, sizeof s, CF_NO_VALUE, CF_NO_VALUE, CF_NO_VALUE, s.bound};
    if (!inverse && s.identity) {
        monotone.low = cf_scale_shift(b, u, 1.0, -2.0 * s.bound);
        monotone.high = cf_scale_shift(b, u, 1.0, 2.0 * s.bound);
        monotone.start = u;
    }
    return cf_monotone_apply(b, &monotone, u, !inverse, log_det);
}

/* ---- the spec ---- */

/* Linear tails: increments of one size, such that the map is the identity. */
static double start(const cf_spec *spec, int64_t feature, size_t param) {
    double bound = cf_spec_real(spec, "bound"), least = cf_spec_real(spec, "minimum_slope");
    (void)feature;
    if (has_identity_tails(spec))
        return 0.0;
    if (param == 0)
        return -bound - first_offset(param_count(spec));
    return log(expm1((1.0 - least) * 2.0 * bound / (double)order_of(spec)));
}

static cf_status check(const cf_spec *spec) {
    int64_t degree = cf_spec_int(spec, "degree");
    double bound = cf_spec_real(spec, "bound"), margin = cf_spec_real(spec, "margin");
    double least = cf_spec_real(spec, "minimum_slope");
    if (degree < 1 || degree > MAX_DEGREE)
        return cf_fail(CF_INVALID, "Bernstein: degree must be from 1 to %d, got %lld", MAX_DEGREE,
                       (long long)degree);
    if (!(bound > 0.0))
        return cf_fail(CF_INVALID, "Bernstein: bound must be positive, got %g", bound);
    if (!(margin >= 0.0 && margin < 0.25))
        return cf_fail(CF_INVALID, "Bernstein: margin must be from 0 to below 0.25, got %g",
                       margin);
    if (!(least >= 0.0 && least < 1.0))
        return cf_fail(CF_INVALID, "Bernstein: minimum_slope must be from 0 to below 1, got %g",
                       least);
    return CF_OK;
}

static const cf_transform_methods methods = {
    .param_count = param_count, .apply = apply, .start = start};

static const char *const tails[] = {"identity", "linear", NULL};

static const cf_option options[] = {
    {.name = "degree",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(16),
     .doc = "One less than the number n of unconstrained parameters, from 1 to 64."},
    {.name = "bound",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(5.0),
     .doc = "B: the polynomial is that of ``t = (x + B) / (2 B)`` on [-B, B]."},
    {.name = "tails",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("identity"),
     .choices = tails,
     .doc = "Beyond the bound: ``'identity'``, or ``'linear'`` with the slopes that the polynomial "
            "has at its ends, which are learned."},
    {.name = "margin",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc =
         "The tails begin where t is so near to 0 or 1. With ``'identity'`` they are then shifts "
         "by ``2 B margin`` towards the bounds, as in zuko, which has 1e-6, and numbers "
         "``u`` between the polynomial's and the tails' come from its ends."},
    {.name = "minimum_slope",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1e-3),
     .doc = "Of linear tails: minimum slope, below 1."},
};

const cf_spec_type cf_bernstein_type = {
    .name = "Bernstein",
    .role = "transform",
    .doc =
        "A Bernstein polynomial with increasing coefficients.\n\n"
        "``u = sum of theta_k C(M, k) t^k (1 - t)^(M - k)`` for ``k`` from 0 to M and ``t = (x + "
        "B) / (2 B)``;\n"
        "``log_det`` of data to base is the logarithm of its derivative, a Bernstein polynomial of "
        "the increments.\n"
        "That direction is a formula. The other, sampling, solves for ``x`` by Newton's method and "
        "bisection, to the\n"
        "last digits of the dtype. Of n unconstrained parameters, with ``tails='identity'`` the "
        "coefficients go from\n"
        "-B to B, M = n + 4, in increments of ``2 B / M``, twice at either end, and between them "
        "of shares ``softmax(param)``\n"
        "of the rest: slope and curvature at the ends are 1 and 0. With ``tails='linear'``, "
        "M = n + 1, the first coefficient is\n"
        "``param_1 - n log(2) / 2`` and the increments are ``softplus(param) + minimum_slope 2 B / "
        "M``, the first and the last\n"
        "twice. New layers are the identity.\n\n"
        "References\n----------\n"
        "Ramasinghe et al. 2021, Robust normalizing flows using Bernstein-type polynomials, "
        "arXiv:2102.03100.\n"
        "Sick et al. 2020, Deep transformation models, arXiv:2004.00464.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
