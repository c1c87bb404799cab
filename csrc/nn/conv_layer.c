#include "nn/conv_layer.h"

#include <math.h>

#include "ops/ops.h"

static cf_status bind_parameters(cf_conv_layer *layer, cf_binding *binding, bool zero) {
    size_t fan_in = layer->in.channels * layer->kernel * layer->kernel;
    size_t shape[4] = {layer->outputs, layer->in.channels, layer->kernel, layer->kernel};
    double unit = fan_in == 0 ? 0.0 : 1.0 / sqrt((double)fan_in);
    bool zero_weight = zero && !layer->normalized; /* a direction cannot be zero */
    CF_TRY(cf_bind_parameter(binding, "weight", 4, shape, zero_weight ? 0.0 : CF_WEIGHT_GAIN * unit,
                             &layer->weight));
    CF_TRY(cf_bind_parameter(binding, "bias", 1, shape, zero ? 0.0 : unit, &layer->bias));
    if (!layer->normalized)
        return CF_OK;
    /* The root mean square of |v|. */
    return cf_bind_parameter_constant(binding, "gain", layer->outputs,
                                      zero ? 0.0 : CF_WEIGHT_GAIN / sqrt(3.0), &layer->gain);
}

cf_status cf_conv_bind(cf_conv_layer *out, cf_binding *binding, const char *name, long number,
                       cf_shape in, cf_conv_options options) {
    size_t mark;
    *out = (cf_conv_layer){.in = in,
                           .outputs = options.outputs,
                           .kernel = options.kernel,
                           .normalized = options.normalized};
    CF_TRY(cf_binding_enter(binding, name, number, &mark));
    cf_status status = bind_parameters(out, binding, options.zero);
    cf_binding_leave(binding, mark);
    return status;
}

/* gain v / |v|, row by row. */
static cf_value normalized(const cf_conv_layer *layer, cf_builder *b, cf_value v, size_t row) {
    cf_value square = cf_sum_groups(b, cf_multiply(b, v, v), layer->outputs);
    cf_value length = cf_exp(b, cf_scale_shift(b, cf_log(b, square), 0.5, 0.0));
    cf_value factor = cf_divide(b, cf_parameter(b, layer->gain, layer->outputs), length);
    return cf_multiply(b, v, cf_repeat_each(b, factor, row));
}

cf_value cf_conv_emit(const cf_conv_layer *layer, cf_builder *b, cf_value x) {
    size_t row = layer->in.channels * layer->kernel * layer->kernel;
    cf_value weight = cf_parameter(b, layer->weight, layer->outputs * row);
    if (layer->normalized)
        weight = normalized(layer, b, weight, row);
    return cf_conv(b, weight, cf_parameter(b, layer->bias, layer->outputs), x, layer->in,
                   layer->outputs, layer->kernel);
}

cf_value cf_context_emit(const cf_dense *dense, cf_builder *b, cf_emission *emission,
                         cf_value context, cf_shape shape) {
    return cf_broadcast_channels(b, cf_dense_emit(dense, b, emission, context), shape);
}

cf_status cf_kernel_check(const cf_spec *network, const char *name, int64_t kernel) {
    if (kernel < 1 || kernel > 63 || kernel % 2 == 0)
        return cf_fail(CF_INVALID, "%s: %s must be odd, from 1 to 63, got %lld",
                       cf_spec_type_of(network)->name, name, (long long)kernel);
    return CF_OK;
}

cf_status cf_channels_check(const cf_spec *network, const char *name, int64_t channels) {
    if (channels < 1 || channels > 1 << 20)
        return cf_fail(CF_INVALID, "%s: %s must be from 1 to 1048576, got %lld",
                       cf_spec_type_of(network)->name, name, (long long)channels);
    return CF_OK;
}
