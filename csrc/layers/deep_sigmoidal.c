/* Deep sigmoidal flows, and the dense ones, as a transform (Huang et al. 2018, section 3). */
#include "layers/monotone.h"
#include "layers/positive_scale.h"
#include "layers/transform.h"
#include "ops/ops.h"

/* One layer takes `inputs` numbers by way of `units` sigmoids to `outputs` numbers. Its parameters,
 * of a feature: scales a and biases b of the units, logits of w [outputs, units] and, of several
 * inputs, of their weights [units, inputs]. */
typedef struct {
    size_t inputs, units, outputs;
} sizes;

static sizes sizes_of(const cf_spec *spec, size_t layer) {
    size_t units = (size_t)cf_spec_int(spec, "components");
    size_t between = cf_spec_int(spec, "dense") ? units : 1;
    bool last = layer + 1 == (size_t)cf_spec_int(spec, "layers");
    return (sizes){layer > 0 ? between : 1, units, last ? 1 : between};
}

static size_t layer_params(sizes s) {
    return s.units * (2 + s.outputs + (s.inputs > 1 ? s.inputs : 0));
}

static size_t param_count(const cf_spec *spec) {
    size_t count = 0;
    for (size_t layer = 0; layer < (size_t)cf_spec_int(spec, "layers"); layer++)
        count += layer_params(sizes_of(spec, layer));
    return count;
}

/* ---- how it starts ---- */

/* Scales are 1 and biases between -1 and 1, so that components learn different things; of several
 * outputs each prefers one component. */
static double start(const cf_spec *spec, int64_t feature, size_t param) {
    size_t layer = 0;
    sizes s = sizes_of(spec, 0);
    double one = 0.0;
    cf_spec *scale;
    (void)feature;
    for (; param >= layer_params(s); s = sizes_of(spec, ++layer))
        param -= layer_params(s);
    if (param >= s.units * (2 + s.outputs))
        return 0.0;
    if (param >= 2 * s.units) {
        param -= 2 * s.units;
        return s.outputs > 1 && param % s.units == param / s.units ? 1.0 : 0.0;
    }
    if (param >= s.units)
        return s.units == 1 ? 0.0 : -1.0 + 2.0 * (double)(param - s.units) / (double)(s.units - 1);
    if (cf_positive_scale_spec(cf_spec_get(spec, "scale"), &scale) != CF_OK)
        return 0.0;
    if (cf_positive_scale_param_of_one(scale, &one) != CF_OK)
        one = 0.0;
    cf_spec_free(scale);
    return one;
}

/* ---- the map ---- */

typedef struct {
    const cf_spec *spec, *scale;
    size_t features;
    cf_value params;
} sigmoidal;

/* The next `count` parameters of each feature, feature after feature. */
static cf_value take(const sigmoidal *d, cf_builder *b, size_t *first, size_t count) {
    cf_value some = cf_slice(b, d->params, *first * d->features, count * d->features);
    *first += count;
    return cf_transpose(b, some, count);
}

/* Each group of `each` neighbouring features, `times` times. */
static cf_value repeat_groups(cf_builder *b, cf_value x, size_t each, size_t times) {
    cf_value all = CF_NO_VALUE;
    if (times == 1 || cf_builder_status(b) != CF_OK)
        return x;
    if (each == 1)
        return cf_repeat_each(b, x, times);
    for (size_t first = 0; first < cf_value_size(b, x) && cf_builder_status(b) == CF_OK;
         first += each) {
        cf_value group = cf_repeat_whole(b, cf_slice(b, x, first, each), times);
        all = cf_concat(b, (cf_value[]){all, group}, 2);
    }
    return all;
}

/* Logarithms of weights, of groups that add up to 1. */
static cf_value log_weights(cf_builder *b, cf_value logits, size_t groups, size_t each) {
    return cf_subtract(b, logits,
                       cf_repeat_each(b, cf_log_sum_exp_groups(b, logits, groups), each));
}

/* What a layer's units are given: averages of the inputs; *log_slope, of the inputs, becomes
 * theirs.
 */
static cf_value average(const sigmoidal *d, cf_builder *b, sizes s, cf_value x, size_t *first,
                        cf_value *log_slope) {
    size_t units = d->features * s.units;
    if (s.inputs == 1) {
        if (!cf_is_none(*log_slope))
            *log_slope = cf_repeat_each(b, *log_slope, s.units);
        return cf_repeat_each(b, x, s.units);
    }
    cf_value logits = take(d, b, first, s.units * s.inputs);
    cf_value log_u = log_weights(b, logits, units, s.inputs);
    cf_value of_x = repeat_groups(b, x, s.inputs, s.units);
    cf_value of_slope = repeat_groups(b, *log_slope, s.inputs, s.units);
    *log_slope = cf_log_sum_exp_groups(b, cf_add(b, log_u, of_slope), units);
    return cf_sum_groups(b, cf_multiply(b, cf_exp(b, log_u), of_x), units);
}

/* -log(1 + exp(sign z)): log(1 - sigmoid(z)) of 1, and log(sigmoid(z)) of -1. */
static cf_value log_sigmoid(cf_builder *b, cf_value z, double sign) {
    return cf_scale_shift(b, cf_softplus(b, cf_scale_shift(b, z, sign, 0.0)), -1.0, 0.0);
}

/* One layer; *log_slope is the logarithm of the derivative of all before it, CF_NO_VALUE for 0, and
 * then of it, too. F and 1 - F are sums of their own, so that neither is 1 less the other. */
static cf_value layer(const sigmoidal *d, cf_builder *b, sizes s, cf_value x, size_t *first,
                      cf_value *log_slope) {
    size_t groups = d->features * s.outputs;
    cf_value log_a = cf_log_scale(b, d->scale, take(d, b, first, s.units));
    cf_value bias = take(d, b, first, s.units);
    cf_value logits = take(d, b, first, s.outputs * s.units);
    cf_value log_w = log_weights(b, logits, groups, s.units);
    cf_value of_unit = average(d, b, s, x, first, log_slope);
    cf_value z = cf_add(b, cf_multiply(b, cf_exp(b, log_a), of_unit), bias);
    cf_value low = log_sigmoid(b, z, -1.0), high = log_sigmoid(b, z, 1.0);
    cf_value bump = cf_add_optional(b, cf_add(b, log_a, cf_add(b, low, high)), *log_slope);
    cf_value sum[3], term[3] = {low, high, bump};
    for (size_t i = 0; i < 3; i++) {
        term[i] = repeat_groups(b, term[i], s.units, s.outputs);
        sum[i] = cf_log_sum_exp_groups(b, cf_add(b, log_w, term[i]), groups);
    }
    *log_slope = cf_subtract(b, sum[2], cf_add(b, sum[0], sum[1]));
    return cf_subtract(b, sum[0], sum[1]);
}

static void map(cf_builder *b, const void *context, cf_value x, cf_value *y, cf_value *log_slope) {
    const sigmoidal *d = context;
    size_t first = 0;
    *log_slope = CF_NO_VALUE;
    for (size_t i = 0; i < (size_t)cf_spec_int(d->spec, "layers"); i++)
        x = layer(d, b, sizes_of(d->spec, i), x, &first, log_slope);
    *y = x;
}

static cf_value apply(const cf_transform *transform, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    (void)features;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    sigmoidal d = {transform->spec, transform->state, cf_value_size(b, u), params};
    cf_monotone monotone = {.function = map, .context = &d, .context_size = sizeof d};
    if (!inverse)
        monotone.start = cf_clamp(b, u, -1e3, 1e3);
    return cf_monotone_apply(b, &monotone, u, !inverse, log_det);
}

static const cf_transform_methods methods = {
    .param_count = param_count, .apply = apply, .start = start, .bind = cf_transform_bind_scale};

static const cf_option options[] = {
    {.name = "components",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(16),
     .range = &(const cf_range){1.0, 64.0, false, false},
     .doc = "Sigmoids of a layer."},
    {.name = "layers",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(1),
     .range = &(const cf_range){1.0, 8.0, false, false},
     .doc = "Layers, one after the other."},
    {.name = "dense",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether `components` numbers go from one layer to the next (deep dense sigmoidal "
            "flows), or one."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained ``a`` become positive: a form of `Scale`, the paper's is "
            "``'softplus'``, or a `Scale`. The default keeps them between 1/1000 and 1000."},
};

const cf_spec_type cf_deep_sigmoidal_type = {
    .name = "DeepSigmoidal",
    .role = "transform",
    .doc =
        "Deep sigmoidal flows: neural autoregressive flows whose weights are all conditioned.\n\n"
        "``u = logit(w_1 sigmoid(a_1 x + b_1) + ... + w_K sigmoid(a_K x + b_K))``, ``a_k > 0``, "
        "the ``w_k`` positive with\n"
        "sum 1; or several of these layers in a row. With `dense` a layer takes the vector ``h`` "
        "to\n"
        "``logit(W sigmoid(a * (V h) + b))``, where the rows of ``W`` and ``V`` are positive with "
        "sum 1; the first takes one number, and the last gives one. ``log_det`` of\n"
        "data to base is the sum of the logarithms of the derivatives. Sums are those of "
        "logarithms, of the\n"
        "sigmoids and of 1 less them, so that nothing is lost in the tails. That direction is a "
        "formula; the\n"
        "other, sampling, solves for ``x`` by Newton's method and bisection. "
        "Unconstrained parameters, layer by layer: ``a``,\n"
        "``b``, the logits of ``W``, row by row, and those of ``V``, if its rows have more than "
        "one number. A new\n"
        "layer is near the identity.\n\n"
        "References\n----------\n"
        "Huang et al. 2018, Neural autoregressive flows, arXiv:1804.00779, equations 8 and 9.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
