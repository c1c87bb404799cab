/* Gaussianization by the distribution function of a mixture of normal distributions, as a
 * transform. */
#include <math.h>

#include "layers/monotone.h"
#include "layers/positive_scale.h"
#include "layers/transform.h"
#include "ops/ops.h"

enum { MAX_COMPONENTS = 64 };

/* Of n features: [components, n] numbers each. */
typedef struct {
    size_t components, n;
    double epsilon;
    cf_value log_weight, shift, log_scale, scale;
} mixture;

static bool has_equal_weights(const cf_spec *spec) {
    return cf_spec_int(spec, "equal_weights") != 0;
}

static size_t param_count(const cf_spec *spec) {
    return (size_t)cf_spec_int(spec, "components") * (has_equal_weights(spec) ? 2 : 3);
}

/* ---- parameters ---- */

/* The shifts where unconstrained ones are 0: means go in equal steps from -spread to spread. */
static cf_value starts(cf_builder *b, const mixture *m, cf_kind kind, double spread) {
    cf_value all = CF_NO_VALUE;
    for (size_t k = 0; k < m->components; k++) {
        double step = m->components > 1 ? 2.0 * (double)k / (double)(m->components - 1) : 1.0;
        cf_value each = cf_constant(b, kind, m->n, spread * (1.0 - step));
        all = cf_concat(b, (cf_value[]){all, each}, 2);
    }
    return all;
}

static cf_value log_weights(cf_builder *b, const mixture *m, cf_value logits) {
    cf_value sum = cf_log_sum_exp_groups(b, cf_transpose(b, logits, m->components), m->n);
    return cf_subtract(b, logits, cf_repeat_whole(b, sum, m->components));
}

static mixture read(const cf_spec *spec, cf_builder *b, const cf_spec *form, cf_value params,
                    size_t n) {
    mixture m = {.components = (size_t)cf_spec_int(spec, "components"),
                 .n = n,
                 .epsilon = cf_spec_real(spec, "epsilon")};
    size_t all = m.components * n, first = has_equal_weights(spec) ? 0 : all;
    cf_kind kind = cf_value_kind(b, params);
    m.log_weight = first == 0 ? cf_constant(b, kind, all, -log((double)m.components))
                              : log_weights(b, &m, cf_slice(b, params, 0, all));
    m.shift = cf_slice(b, params, first, all);
    if (cf_spec_real(spec, "spread") != 0.0)
        m.shift = cf_add(b, m.shift, starts(b, &m, kind, cf_spec_real(spec, "spread")));
    m.log_scale = cf_log_scale(b, form, cf_slice(b, params, first + all, all));
    m.scale = cf_exp(b, m.log_scale);
    return m;
}

/* ---- evaluation ---- */

static cf_value log_sum(cf_builder *b, const mixture *m, cf_value terms) {
    return cf_log_sum_exp_groups(b, cf_transpose(b, terms, cf_value_size(b, terms) / m->n), m->n);
}

/* -1 where F(x) is above 1/2, else 1, as far as a logistic in place of the normal, wrong by less
 * than 0.01, can tell: so that numbers are far out on the left side if at all. */
static cf_value side_of(cf_builder *b, const mixture *m, cf_value z) {
    cf_value share = cf_sigmoid(b, cf_scale_shift(b, z, 1.702, 0.0));
    share = cf_multiply(b, share, cf_exp(b, m->log_weight));
    cf_value sum = cf_sum_groups(b, cf_transpose(b, share, m->components), m->n);
    return cf_scale_shift(b, cf_greater_equal(b, sum, 0.5), -2.0, 1.0);
}

/* With z_k on that side, log(F) is a sum of logarithms. The derivative is that of log(F), the mean
 * hazard of the components, each by its share in F, over the hazard at u; shares count relative to
 * their own sum, since far out log(F) is large, and so is its rounding. */
static void map(cf_builder *b, const void *context, cf_value x, cf_value *y, cf_value *log_slope) {
    const mixture *m = context;
    cf_value repeated = cf_repeat_whole(b, x, m->components), all;
    cf_value z = cf_broadcast(b, cf_add(b, cf_multiply(b, repeated, m->scale), m->shift));
    cf_value side = side_of(b, m, z);
    z = cf_multiply(b, z, cf_repeat_whole(b, side, m->components));
    cf_value each = cf_add(b, cf_log_normal_cdf(b, z), m->log_weight);
    all = each;
    if (m->epsilon > 0.0) {
        cf_value rest = cf_constant(b, CF_BATCHED, m->n, log(0.5 * m->epsilon));
        each = cf_scale_shift(b, each, 1.0, log1p(-m->epsilon));
        all = cf_concat(b, (cf_value[]){each, rest}, 2);
    }
    cf_value log_cdf = log_sum(b, m, all);
    each = cf_subtract(b, each, cf_repeat_whole(b, log_cdf, m->components));
    if (m->epsilon > 0.0)
        all = cf_subtract(b, all, cf_repeat_whole(b, log_cdf, m->components + 1));
    cf_value hazard = cf_add(b, cf_log_normal_hazard(b, z), m->log_scale);
    hazard = log_sum(b, m, cf_add(b, each, hazard));
    cf_value total = log_sum(b, m, m->epsilon > 0.0 ? all : each);
    cf_value u = cf_normal_quantile_of_log(b, log_cdf);
    *y = cf_multiply(b, side, u);
    *log_slope = cf_subtract(b, cf_subtract(b, hazard, total), cf_log_normal_hazard(b, u));
}

/* NaN for numbers that the map does not reach, which F, drawn to 1/2, keeps from infinity. */
static cf_value reachable(cf_builder *b, const mixture *m, cf_value u) {
    cf_value side = cf_scale_shift(b, cf_abs(b, u), -1.0, 0.0);
    cf_value above =
        cf_scale_shift(b, cf_exp(b, cf_log_normal_cdf(b, side)), 1.0, -0.5 * m->epsilon);
    return cf_add(b, u, cf_scale_shift(b, cf_log(b, above), 0.0, 0.0));
}

/* x lies where some component's own F_k is above that of u, and some one's below. */
static void bracket(cf_builder *b, const mixture *m, cf_value u, cf_monotone *out) {
    cf_value repeated = cf_repeat_whole(b, u, m->components);
    cf_value own = cf_divide(b, cf_subtract(b, repeated, m->shift), m->scale);
    out->low = out->high = cf_slice(b, own, 0, m->n);
    for (size_t k = 1; k < m->components; k++) {
        cf_value next = cf_slice(b, own, k * m->n, m->n);
        cf_value below = cf_relu(b, cf_subtract(b, out->low, next));
        cf_value above = cf_relu(b, cf_subtract(b, next, out->high));
        out->low = cf_subtract(b, out->low, below);
        out->high = cf_add(b, out->high, above);
    }
}

static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    const cf_spec *spec = transform->spec;
    const cf_spec *form = transform->state;
    (void)features;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    mixture m = read(spec, b, form, params, cf_value_size(b, u));
    cf_monotone monotone = {map, &m, sizeof m, CF_NO_VALUE, CF_NO_VALUE, CF_NO_VALUE, 2.0};
    if (!inverse && m.epsilon > 0.0)
        u = reachable(b, &m, u);
    else if (!inverse)
        bracket(b, &m, u, &monotone);
    cf_value out = cf_monotone_apply(b, &monotone, u, !inverse, log_det);
    return out;
}

static cf_status check(const cf_spec *spec) {
    int64_t components = cf_spec_int(spec, "components");
    double spread = cf_spec_real(spec, "spread"), epsilon = cf_spec_real(spec, "epsilon");
    if (components < 1 || components > MAX_COMPONENTS)
        return cf_fail(CF_INVALID, "MixtureNormal: components must be from 1 to %d, got %lld",
                       MAX_COMPONENTS, (long long)components);
    if (!(spread >= 0.0 && spread <= 1e6))
        return cf_fail(CF_INVALID, "MixtureNormal: spread must be from 0 to 1e6, got %g", spread);
    if (!(epsilon >= 0.0 && epsilon <= 0.5))
        return cf_fail(CF_INVALID, "MixtureNormal: epsilon must be from 0 to 0.5, got %g", epsilon);
    return CF_OK;
}

static const cf_transform_methods methods = {
    .param_count = param_count, .apply = apply, .bind = cf_transform_bind_scale};

static const cf_option options[] = {
    {.name = "components",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(8),
     .doc = "K, the number of components, from 1 to 64."},
    {.name = "equal_weights",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether all components weigh the same; else weights are learned."},
    {.name = "spread",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1.0),
     .doc = "Where unconstrained parameters are 0, means go in equal steps from -spread to "
            "spread."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How unconstrained scales become positive: a form of `Scale`, or a `Scale`."},
    {.name = "epsilon",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc = "Draws F to 1/2: ``u = Phi^-1((1 - epsilon) F(x) + epsilon / 2)``, as zuko does with "
            "1e-6. Then ``|u|`` is less than ``Phi^-1(1 - epsilon / 2)``, and there is no x "
            "beyond: samples of such u are NaN."},
};

const cf_spec_type cf_mixture_normal_type = {
    .name = "MixtureNormal",
    .role = "transform",
    .doc =
        "Gaussianization by the distribution function of a mixture of normal distributions.\n\n"
        "``u = Phi^-1(F(x))``, with ``F(x) = p_1 Phi(z_1) + ... + p_K Phi(z_K)`` and ``z_k = "
        "scale_k x + shift_k``: of a\n"
        "component with mean ``-shift_k / scale_k`` and standard deviation ``1 / scale_k``. "
        "``log_det`` of data to base is\n"
        "``log(F'(x) / phi(u))``; both hold far out in either tail. That direction is a formula. "
        "The other, sampling,\n"
        "solves for ``x`` by Newton's method and bisection, to the last digits of the dtype. "
        "Unconstrained parameters: K\n"
        "logits of the weights unless these are equal, K shifts, to which equal steps from "
        "spread to -spread are\n"
        "added, K scales. Where all are 0, ``u`` is near ``x``.\n\n"
        "References\n----------\n"
        "Chen and Gopinath 2000, Gaussianization, Advances in Neural Information Processing "
        "Systems 13.\n"
        "Meng et al. 2020, Gaussianization flows, arXiv:2003.01941.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
