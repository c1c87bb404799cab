/* Fixed maps of single features, for data that are bounded or have long tails. Each is a formula
 * and its logarithmic derivative; outside its domain a map is NaN. */
#include <math.h>

#include "layers/interval.h"
#include "layers/layer.h"
#include "ops/ops.h"

#define LOG_2 0.6931471805599453

static cf_status bind_nothing(cf_layer *layer, cf_binding *binding) {
    (void)layer;
    (void)binding;
    return CF_OK;
}

static cf_value negated(cf_builder *b, cf_value x) {
    return cf_scale_shift(b, x, -1.0, 0.0);
}

/* --- exp and log --- */

static cf_value exp_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                            cf_value *log_det) {
    (void)layer;
    (void)context;
    *log_det = cf_sum_features(b, u);
    return cf_exp(b, u);
}

static cf_value exp_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                            cf_value *log_det) {
    cf_value u = cf_log(b, x);
    (void)layer;
    (void)context;
    *log_det = negated(b, cf_sum_features(b, u));
    return u;
}

static const cf_layer_methods exp_methods = {bind_nothing, exp_forward, exp_inverse,
                                             .restricted_domain = true};
static const cf_layer_methods log_methods = {bind_nothing, exp_inverse, exp_forward,
                                             .restricted_domain = true};

const cf_spec_type cf_exp_type = {
    .name = "Exp",
    .role = "layer",
    .doc = "``x = exp(u)``, ``log_det = sum(u)``: onto positive numbers.",
    .methods = &exp_methods,
};

const cf_spec_type cf_log_type = {
    .name = "Log",
    .role = "layer",
    .doc = "``x = log(u)``, ``log_det = -sum(log(u))``: from positive numbers; the inverse of "
           "`Exp`.",
    .methods = &log_methods,
};

/* --- sigmoid and logit --- */

typedef struct {
    double low, high, temperature, epsilon;
} sigmoid_numbers;

static sigmoid_numbers read_sigmoid(const cf_layer *layer) {
    return (sigmoid_numbers){cf_spec_real(layer->spec, "low"), cf_spec_real(layer->spec, "high"),
                             cf_spec_real(layer->spec, "temperature"),
                             cf_spec_real(layer->spec, "epsilon")};
}

/* log of (high - low) temperature sigmoid(t) (1 - sigmoid(t)), summed. */
static cf_value sigmoid_log_slope(cf_builder *b, const sigmoid_numbers *s, cf_value t) {
    cf_value curve = cf_add(b, cf_softplus(b, t), cf_softplus(b, negated(b, t)));
    double constant = log(s->high - s->low) + log(s->temperature);
    return cf_sum_features(b, cf_scale_shift(b, curve, -1.0, constant));
}

static cf_value sigmoid_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                                cf_value *log_det) {
    sigmoid_numbers s = read_sigmoid(layer);
    cf_value t = cf_scale_shift(b, u, s.temperature, 0.0);
    (void)context;
    *log_det = sigmoid_log_slope(b, &s, t);
    return cf_scale_shift(b, cf_sigmoid(b, t), s.high - s.low, s.low);
}

static cf_value sigmoid_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                                cf_value *log_det) {
    sigmoid_numbers s = read_sigmoid(layer);
    double span = s.high - s.low;
    cf_value p = cf_scale_shift(b, x, 1.0 / span, -s.low / span);
    (void)context;
    if (s.epsilon > 0.0)
        p = cf_clamp(b, p, s.epsilon, 1.0 - s.epsilon);
    cf_value t = cf_subtract(b, cf_log(b, p), cf_log1p(b, negated(b, p)));
    *log_det = negated(b, sigmoid_log_slope(b, &s, t));
    return cf_scale_shift(b, t, 1.0 / s.temperature, 0.0);
}

static cf_status check_sigmoid(const cf_spec *spec) {
    const char *name = cf_spec_type_of(spec)->name;
    double temperature = cf_spec_real(spec, "temperature"), epsilon = cf_spec_real(spec, "epsilon");
    CF_TRY(cf_interval_check(spec));
    if (!(temperature > 0.0))
        return cf_fail(CF_INVALID, "%s: temperature must be positive, got %g", name, temperature);
    if (!(epsilon >= 0.0 && epsilon < 0.5))
        return cf_fail(CF_INVALID, "%s: epsilon must be from 0 to below 0.5, got %g", name,
                       epsilon);
    return CF_OK;
}

static const cf_layer_methods sigmoid_methods = {bind_nothing, sigmoid_forward, sigmoid_inverse,
                                                 .restricted_domain = true};
static const cf_layer_methods logit_methods = {bind_nothing, sigmoid_inverse, sigmoid_forward,
                                               .restricted_domain = true};

static const cf_option sigmoid_options[] = {
    {.name = "low",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc = "Lower end of the interval."},
    {.name = "high",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1.0),
     .doc = "Upper end of the interval."},
    {.name = "temperature",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1.0),
     .doc = "Factor in the sigmoid's argument."},
    {.name = "epsilon",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc = "Numbers nearer to an end than this share of the interval are moved there before the "
            "logit is taken; 0: an end itself becomes infinite."},
};

const cf_spec_type cf_sigmoid_type = {
    .name = "Sigmoid",
    .role = "layer",
    .doc = "``x = low + (high - low) / (1 + exp(-temperature * u))``: onto an interval.\n\n"
           "``log_det`` is the sum of ``log((high - low) * temperature) - softplus(t) - "
           "softplus(-t)``,\n"
           "``t = temperature * u``.",
    .options = sigmoid_options,
    .option_count = sizeof sigmoid_options / sizeof *sigmoid_options,
    .check = check_sigmoid,
    .methods = &sigmoid_methods,
};

const cf_spec_type cf_logit_type = {
    .name = "Logit",
    .role = "layer",
    .doc = "The inverse of `Sigmoid`: from an interval, ``x = log(p / (1 - p)) / temperature``,\n"
           "``p = (u - low) / (high - low)``.",
    .options = sigmoid_options,
    .option_count = sizeof sigmoid_options / sizeof *sigmoid_options,
    .check = check_sigmoid,
    .methods = &logit_methods,
};

/* --- tanh --- */

static cf_value tanh_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                             cf_value *log_det) {
    (void)layer;
    (void)context;
    /* 1 - tanh(u)^2 = 4 exp(-2 u) / (1 + exp(-2 u))^2 */
    cf_value curve = cf_add(b, u, cf_softplus(b, cf_scale_shift(b, u, -2.0, 0.0)));
    *log_det = cf_sum_features(b, cf_scale_shift(b, curve, -2.0, 2.0 * LOG_2));
    return cf_tanh(b, u);
}

static cf_value tanh_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                             cf_value *log_det) {
    (void)layer;
    (void)context;
    cf_value above = cf_log1p(b, x), below = cf_log1p(b, negated(b, x));
    *log_det = negated(b, cf_sum_features(b, cf_add(b, above, below)));
    return cf_scale_shift(b, cf_subtract(b, above, below), 0.5, 0.0);
}

static const cf_layer_methods tanh_methods = {bind_nothing, tanh_forward, tanh_inverse,
                                              .restricted_domain = true};

const cf_spec_type cf_tanh_type = {
    .name = "Tanh",
    .role = "layer",
    .doc = "``x = tanh(u)``, ``log_det = sum(log(1 - x^2))``: onto (-1, 1).",
    .methods = &tanh_methods,
};

/* --- softplus --- */

static cf_value softplus_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                                 cf_value *log_det) {
    (void)layer;
    (void)context;
    *log_det = negated(b, cf_sum_features(b, cf_softplus(b, negated(b, u))));
    return cf_softplus(b, u);
}

static cf_value softplus_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                                 cf_value *log_det) {
    (void)layer;
    (void)context;
    /* u = x + log(1 - exp(-x)), and dx/du = 1 - exp(-x) */
    cf_value log_slope = cf_log(b, negated(b, cf_expm1(b, negated(b, x))));
    *log_det = negated(b, cf_sum_features(b, log_slope));
    return cf_add(b, x, log_slope);
}

static const cf_layer_methods softplus_methods = {bind_nothing, softplus_forward, softplus_inverse,
                                                  .restricted_domain = true};

const cf_spec_type cf_softplus_type = {
    .name = "Softplus",
    .role = "layer",
    .doc = "``x = log(1 + exp(u))``, ``log_det = -sum(softplus(-u))``: onto positive numbers, "
           "nearly\n"
           "the identity for large ones.",
    .methods = &softplus_methods,
};

/* --- sinh and arcsinh --- */

/* The sum of log(cosh(u)). */
static cf_value log_cosh(cf_builder *b, cf_value u) {
    cf_value curve = cf_subtract(b, cf_softplus(b, cf_scale_shift(b, u, 2.0, 0.0)), u);
    return cf_sum_features(b, cf_scale_shift(b, curve, 1.0, -LOG_2));
}

static cf_value sinh_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                             cf_value *log_det) {
    (void)layer;
    (void)context;
    *log_det = log_cosh(b, u);
    cf_value twice = cf_subtract(b, cf_expm1(b, u), cf_expm1(b, negated(b, u)));
    return cf_scale_shift(b, twice, 0.5, 0.0);
}

static cf_value sinh_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                             cf_value *log_det) {
    cf_value u = cf_asinh(b, x);
    (void)layer;
    (void)context;
    *log_det = negated(b, log_cosh(b, u));
    return u;
}

/* The domain is restricted, though sinh is defined everywhere: at large numbers it is infinite. */
static const cf_layer_methods sinh_methods = {bind_nothing, sinh_forward, sinh_inverse,
                                              .restricted_domain = true};
static const cf_layer_methods arcsinh_methods = {bind_nothing, sinh_inverse, sinh_forward,
                                                 .restricted_domain = true};

const cf_spec_type cf_sinh_type = {
    .name = "Sinh",
    .role = "layer",
    .doc = "``x = sinh(u)``, ``log_det = sum(log(cosh(u)))``: gives data long tails, of either "
           "sign.",
    .methods = &sinh_methods,
};

const cf_spec_type cf_arcsinh_type = {
    .name = "Arcsinh",
    .role = "layer",
    .doc = "``x = arcsinh(u)``, ``log_det = -sum(log(cosh(x)))``: the inverse of `Sinh`.",
    .methods = &arcsinh_methods,
};

/* --- powers --- */

static cf_value power(cf_builder *b, cf_value u, double exponent, cf_value *log_det) {
    cf_value log_u = cf_log(b, u);
    *log_det = cf_sum_features(b, cf_scale_shift(b, log_u, exponent - 1.0, log(fabs(exponent))));
    return cf_exp(b, cf_scale_shift(b, log_u, exponent, 0.0));
}

static cf_value power_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                              cf_value *log_det) {
    (void)context;
    return power(b, u, cf_spec_real(layer->spec, "exponent"), log_det);
}

static cf_value power_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                              cf_value *log_det) {
    (void)context;
    return power(b, x, 1.0 / cf_spec_real(layer->spec, "exponent"), log_det);
}

static cf_status check_power(const cf_spec *spec) {
    double exponent = cf_spec_real(spec, "exponent");
    if (!isfinite(1.0 / exponent))
        return cf_fail(CF_INVALID, "Power: exponent must have a finite inverse, got %g", exponent);
    return CF_OK;
}

static const cf_layer_methods power_methods = {bind_nothing, power_forward, power_inverse,
                                               .restricted_domain = true};

static const cf_option power_options[] = {
    {.name = "exponent", .kinds = CF_OPTION_REAL, .required = true, .doc = "Any number but 0."},
};

const cf_spec_type cf_power_type = {
    .name = "Power",
    .role = "layer",
    .doc = "``x = u^exponent`` for positive u, ``log_det = sum(log|exponent| + (exponent - 1) "
           "log(u))``.",
    .options = power_options,
    .option_count = sizeof power_options / sizeof *power_options,
    .check = check_power,
    .methods = &power_methods,
};
