#include "layers/positive_scale.h"

#include <math.h>
#include <string.h>

#include "ops/ops.h"

const char *const cf_positive_scale_forms[] = {"softclip", "tanh",     "exp",
                                               "sigmoid",  "softplus", NULL};

/* The forms that give log(scale) in one step. */
static cf_value direct_form(cf_builder *b, const char *form, double bound, cf_value a) {
    if (strcmp(form, "softclip") == 0)
        return cf_softclip(b, a, bound);
    if (strcmp(form, "tanh") == 0)
        return cf_scale_shift(b, cf_tanh(b, cf_scale_shift(b, a, 1.0 / bound, 0.0)), bound, 0.0);
    return a;
}

/* log(softplus(a)), which is a, to rounding, where softplus(a) may be too small for a number. */
static cf_value log_softplus(cf_builder *b, cf_value a) {
    cf_value above = cf_clamp(b, a, -60.0, INFINITY);
    return cf_add(b, cf_log(b, cf_softplus(b, above)), cf_subtract(b, a, above));
}

/* log(sigmoid(a) + minimum) or log(softplus(a) + minimum), at most log(maximum). */
static cf_value positive_form(cf_builder *b, bool sigmoid, double minimum,
                              const cf_setting *maximum, cf_value a) {
    if (sigmoid && minimum == 0.0 && maximum->kind == CF_NONE)
        return cf_scale_shift(b, cf_softplus(b, cf_scale_shift(b, a, -1.0, 0.0)), -1.0, 0.0);
    if (!sigmoid && minimum == 0.0 && maximum->kind == CF_NONE)
        return log_softplus(b, a);
    cf_value scale = sigmoid ? cf_sigmoid(b, a) : cf_softplus(b, a);
    if (minimum != 0.0)
        scale = cf_scale_shift(b, scale, 1.0, minimum);
    if (maximum->kind != CF_NONE)
        scale = cf_clamp(b, scale, 0.0, maximum->reals[0]);
    return cf_log(b, scale);
}

cf_value cf_log_scale(cf_builder *b, const cf_spec *scale, cf_value a) {
    const char *form = cf_spec_string(scale, "form");
    double offset = cf_spec_real(scale, "offset");
    bool sigmoid = strcmp(form, "sigmoid") == 0;
    if (offset != 0.0)
        a = cf_scale_shift(b, a, 1.0, offset);
    cf_value s = sigmoid || strcmp(form, "softplus") == 0
                     ? positive_form(b, sigmoid, cf_spec_real(scale, "minimum"),
                                     cf_spec_get(scale, "maximum"), a)
                     : direct_form(b, form, cf_spec_real(scale, "bound"), a);
    return cf_spec_int(scale, "reciprocal") ? cf_scale_shift(b, s, -1.0, 0.0) : s;
}

cf_status cf_positive_scale_spec(const cf_setting *setting, cf_spec **out) {
    if (setting->kind == CF_OPTION_SPEC) {
        *out = cf_spec_retain(setting->specs[0]);
        return CF_OK;
    }
    CF_TRY(cf_spec_new(out, &cf_positive_scale_type));
    cf_status status = cf_spec_set_string(*out, "form", setting->string);
    if (status != CF_OK) {
        cf_spec_free(*out);
        *out = NULL;
    }
    return status;
}

cf_status cf_positive_scale_param_of_one(const cf_spec *scale, double *a) {
    const char *form = cf_spec_string(scale, "form");
    const cf_setting *maximum = cf_spec_get(scale, "maximum");
    double minimum = cf_spec_real(scale, "minimum"), rest = 1.0 - minimum;
    bool sigmoid = strcmp(form, "sigmoid") == 0, softplus = strcmp(form, "softplus") == 0;
    if ((sigmoid && minimum == 0.0) || ((sigmoid || softplus) && !(rest > 0.0)) ||
        (maximum->kind != CF_NONE && maximum->reals[0] < 1.0))
        return cf_fail(CF_INVALID,
                       "Scale: the layer starts at scale 1, which '%s' with minimum %g and maximum "
                       "%g does not give",
                       form, minimum,
                       maximum->kind != CF_NONE ? maximum->reals[0] : (double)INFINITY);
    double start = softplus ? log(expm1(rest)) : sigmoid ? log(rest / minimum) : 0.0;
    *a = start - cf_spec_real(scale, "offset");
    return CF_OK;
}

static cf_status check(const cf_spec *spec) {
    double bound = cf_spec_real(spec, "bound"), minimum = cf_spec_real(spec, "minimum");
    const cf_setting *maximum = cf_spec_get(spec, "maximum");
    const char *form = cf_spec_string(spec, "form");
    bool positive = strcmp(form, "sigmoid") == 0 || strcmp(form, "softplus") == 0;
    if (!(bound > 0.0))
        return cf_fail(CF_INVALID, "Scale: bound must be positive, got %g", bound);
    if (!(minimum >= 0.0))
        return cf_fail(CF_INVALID, "Scale: minimum must be 0 or more, got %g", minimum);
    if (maximum->kind != CF_NONE && !(maximum->reals[0] > minimum))
        return cf_fail(CF_INVALID, "Scale: maximum must be above minimum = %g, got %g", minimum,
                       maximum->reals[0]);
    if (!positive && (minimum != 0.0 || maximum->kind != CF_NONE))
        return cf_fail(CF_INVALID,
                       "Scale: minimum and maximum go with 'sigmoid' and 'softplus', not '%s'",
                       form);
    return CF_OK;
}

static const cf_option options[] = {
    {.name = "form",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .doc = "``'softclip'``, ``'tanh'``, ``'exp'``, ``'sigmoid'`` or ``'softplus'``."},
    {.name = "bound",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(6.907755278982137),
     .doc = "Of softclip and tanh: ``|log(scale)| < bound``; the default is log(1000)."},
    {.name = "offset",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc = "Added to the unconstrained output first."},
    {.name = "minimum",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.0),
     .doc = "Added to the scale (sigmoid and softplus)."},
    {.name = "maximum",
     .kinds = CF_OPTION_REAL | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "The scale is cut off there (sigmoid and softplus)."},
    {.name = "reciprocal",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether the scale is one over that."},
};

const cf_spec_type cf_positive_scale_type = {
    .name = "Scale",
    .role = "scale",
    .doc = "How a conditioner's unconstrained output ``a`` becomes a positive scale.\n\n"
           "* ``'softclip'``: ``exp(a / (1 + |a| / bound))``;\n"
           "* ``'tanh'``: ``exp(bound * tanh(a / bound))``;\n"
           "* ``'exp'``: ``exp(a)``;\n"
           "* ``'sigmoid'``: ``1 / (1 + exp(-a)) + minimum``;\n"
           "* ``'softplus'``: ``log(1 + exp(a)) + minimum``.\n\n"
           "The first two are bounded, and 1 where ``a`` is 0.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
};
