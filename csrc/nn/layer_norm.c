#include "nn/layer_norm.h"

#include <math.h>
#include <string.h>

#include "ops/ops.h"

#define EPSILON 1e-5 /* of the variance, as the frameworks have it */

const char *const cf_layer_norm_names[] = {"none", "layer", NULL};

bool cf_has_layer_norm(const cf_spec *network) {
    return strcmp(cf_spec_string(network, "normalization"), "layer") == 0;
}

cf_status cf_layer_norm_bind(cf_layer_norm *out, const cf_conditioner *conditioner,
                             cf_binding *binding, const char *name, long number, size_t units) {
    size_t mark;
    *out = (cf_layer_norm){0};
    if (!cf_has_layer_norm(conditioner->spec))
        return CF_OK;
    if (conditioner->output_groups.count > 1)
        return cf_fail(CF_INVALID,
                       "%s: normalization 'layer' makes every hidden unit read all others, and "
                       "the network of an Autoregressive layer must not: leave it out",
                       cf_spec_type_of(conditioner->spec)->name);
    out->units = units;
    CF_TRY(cf_binding_enter(binding, name, number, &mark));
    cf_status status = cf_bind_parameter_constant(binding, "gain", units, 1.0, &out->gain);
    if (status == CF_OK)
        status = cf_bind_parameter_constant(binding, "bias", units, 0.0, &out->bias);
    cf_binding_leave(binding, mark);
    return status;
}

/* With one more number, sqrt(units epsilon), the centred units are a vector whose length is
 * sqrt(units (var + epsilon)), and the op that divides by it squares nothing that overflows. */
cf_value cf_layer_norm_emit(const cf_layer_norm *norm, cf_builder *b, cf_value h) {
    double n = (double)norm->units;
    if (norm->units == 0 || cf_builder_status(b) != CF_OK)
        return h;
    cf_value mean = cf_sum_features(b, cf_scale_shift(b, h, 1.0 / n, 0.0));
    cf_value centred = cf_subtract(b, h, mean);
    cf_value rest = cf_constant(b, CF_BATCHED, 1, sqrt(n * EPSILON));
    cf_value unit = cf_unit_vector(b, cf_concat(b, (cf_value[]){centred, rest}, 2));
    h = cf_scale_shift(b, cf_slice(b, unit, 0, norm->units), sqrt(n), 0.0);
    h = cf_multiply(b, h, cf_parameter(b, norm->gain, norm->units));
    return cf_add(b, h, cf_parameter(b, norm->bias, norm->units));
}
