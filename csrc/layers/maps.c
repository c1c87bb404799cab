/* Fixed maps of single features, for data that are bounded or have long tails: ops/fixed_map.h has
 * the formulas. */
#include <math.h>

#include "layers/interval.h"
#include "layers/layer.h"

#define FIXED_MAP(name)                                                                            \
    { .steps = name, .restricted_domain = true }

/* --- exp and log --- */

static bool exp_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)layer;
    (void)feature;
    return cf_append_step(out, count, (cf_map_step){.kind = CF_MAP_EXP});
}

static bool log_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)layer;
    (void)feature;
    return cf_append_step(out, count, (cf_map_step){.kind = CF_MAP_EXP, .inverted = true});
}

static const cf_layer_methods exp_methods = FIXED_MAP(exp_steps);
static const cf_layer_methods log_methods = FIXED_MAP(log_steps);

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

static cf_map_step sigmoid_step(const cf_layer *layer, bool inverted) {
    const cf_spec *spec = layer->spec;
    return (cf_map_step){.kind = CF_MAP_SIGMOID,
                         .inverted = inverted,
                         .low = cf_spec_real(spec, "low"),
                         .high = cf_spec_real(spec, "high"),
                         .rate = cf_spec_real(spec, "temperature"),
                         .epsilon = cf_spec_real(spec, "epsilon")};
}

static bool sigmoid_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)feature;
    return cf_append_step(out, count, sigmoid_step(layer, false));
}

static bool logit_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)feature;
    return cf_append_step(out, count, sigmoid_step(layer, true));
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

static const cf_layer_methods sigmoid_methods = FIXED_MAP(sigmoid_steps);
static const cf_layer_methods logit_methods = FIXED_MAP(logit_steps);

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

static bool tanh_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)layer;
    (void)feature;
    return cf_append_step(out, count, (cf_map_step){.kind = CF_MAP_TANH});
}

static const cf_layer_methods tanh_methods = FIXED_MAP(tanh_steps);

const cf_spec_type cf_tanh_type = {
    .name = "Tanh",
    .role = "layer",
    .doc = "``x = tanh(u)``, ``log_det = sum(log(1 - x^2))``: onto (-1, 1).",
    .methods = &tanh_methods,
};

/* --- softplus --- */

static bool softplus_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)layer;
    (void)feature;
    return cf_append_step(out, count, (cf_map_step){.kind = CF_MAP_SOFTPLUS});
}

static const cf_layer_methods softplus_methods = FIXED_MAP(softplus_steps);

const cf_spec_type cf_softplus_type = {
    .name = "Softplus",
    .role = "layer",
    .doc = "``x = log(1 + exp(u))``, ``log_det = -sum(softplus(-u))``: onto positive numbers, "
           "nearly\n"
           "the identity for large ones.",
    .methods = &softplus_methods,
};

/* --- sinh and arcsinh --- */

static bool sinh_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)layer;
    (void)feature;
    return cf_append_step(out, count, (cf_map_step){.kind = CF_MAP_SINH});
}

static bool arcsinh_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    (void)layer;
    (void)feature;
    return cf_append_step(out, count, (cf_map_step){.kind = CF_MAP_SINH, .inverted = true});
}

/* The domain is restricted, though sinh is defined everywhere: at large numbers it is infinite. */
static const cf_layer_methods sinh_methods = FIXED_MAP(sinh_steps);
static const cf_layer_methods arcsinh_methods = FIXED_MAP(arcsinh_steps);

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

static bool power_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    double exponent = cf_spec_real(layer->spec, "exponent");
    (void)feature;
    return cf_append_step(out, count, (cf_map_step){.kind = CF_MAP_POWER, .rate = exponent});
}

static cf_status check_power(const cf_spec *spec) {
    double exponent = cf_spec_real(spec, "exponent");
    if (!isfinite(1.0 / exponent))
        return cf_fail(CF_INVALID, "Power: exponent must have a finite inverse, got %g", exponent);
    return CF_OK;
}

static const cf_layer_methods power_methods = FIXED_MAP(power_steps);

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

/* --- softclip --- */

static bool softclip_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count) {
    double bound = cf_spec_real(layer->spec, "bound");
    (void)feature;
    return cf_append_step(out, count, (cf_map_step){.kind = CF_MAP_SOFTCLIP, .high = bound});
}

static cf_status check_softclip(const cf_spec *spec) {
    double bound = cf_spec_real(spec, "bound");
    if (!(bound > 0.0))
        return cf_fail(CF_INVALID, "Softclip: bound must be positive, got %g", bound);
    return CF_OK;
}

static const cf_layer_methods softclip_methods = FIXED_MAP(softclip_steps);

static const cf_option softclip_options[] = {
    {.name = "bound",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(1.0),
     .doc = "Half the width of the interval."},
};

const cf_spec_type cf_softclip_type = {
    .name = "Softclip",
    .role = "layer",
    .doc = "``x = u / (1 + |u| / bound)``, ``log_det = -2 sum(log(1 + |u| / bound))``: onto "
           "(-bound, bound),\n"
           "nearly the identity for small numbers.",
    .options = softclip_options,
    .option_count = sizeof softclip_options / sizeof *softclip_options,
    .check = check_softclip,
    .methods = &softclip_methods,
};
