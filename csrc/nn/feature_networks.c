#include "nn/feature_networks.h"

#include <math.h>

#include "base/memory.h"
#include "nn/dense.h"
#include "ops/ops.h"

cf_status cf_feature_networks_size(cf_feature_networks *out, const cf_spec *spec,
                                   cf_binding *binding, size_t count, const int64_t *feature,
                                   size_t signal) {
    const cf_setting *hidden = cf_spec_get(spec, "hidden");
    int64_t *network, last = -1;
    *out = (cf_feature_networks){.features = count, .signal = signal, .layers = hidden->count + 1};
    for (size_t k = 0; k < hidden->count; k++)
        out->units[k] = (size_t)hidden->integers[k];
    out->units[hidden->count] = 1;
    for (size_t i = 0; i < count; i++)
        last = feature[i] > last ? feature[i] : last;
    CF_TRY(cf_arena_alloc(binding->arena, &network, (size_t)(last + 1), sizeof *network));
    for (size_t i = 0; i < count; i++)
        network[feature[i]] = (int64_t)i;
    out->network = network;
    return CF_OK;
}

size_t cf_feature_networks_inputs(const cf_feature_networks *networks, size_t k) {
    return k > 0 ? networks->units[k - 1] : 1 + networks->signal;
}

cf_status cf_feature_networks_bind(cf_feature_networks *networks, cf_binding *binding, size_t k,
                                   const double *weight, const double *bias) {
    size_t mark,
        shape[] = {networks->features, networks->units[k], cf_feature_networks_inputs(networks, k)};
    double unit = k + 1 < networks->layers ? 1.0 / sqrt((double)shape[2]) : 0.0;
    CF_TRY(cf_binding_enter(binding, "linear", (long)k, &mark));
    CF_TRY(cf_bind_parameter(binding, "weight", 3, shape,
                             weight == NULL ? CF_WEIGHT_GAIN * unit : 0.0, &networks->weight[k]));
    if (weight != NULL)
        CF_TRY(cf_bind_start_values(binding, networks->weight[k], weight));
    CF_TRY(cf_bind_parameter(binding, "bias", 2, shape, weight == NULL ? unit : 0.0,
                             &networks->bias[k]));
    if (bias != NULL)
        CF_TRY(cf_bind_start_values(binding, networks->bias[k], bias));
    cf_binding_leave(binding, mark);
    return CF_OK;
}

/* Of a parameter of `size` numbers a network, those of the networks of these features. */
static cf_value of_features(const cf_feature_networks *networks, cf_builder *b, size_t offset,
                            size_t size, const int64_t *feature, size_t count) {
    cf_value all = cf_parameter(b, offset, networks->features * size), *parts;
    bool whole = count == networks->features;
    for (size_t i = 0; i < count && whole; i++)
        whole = networks->network[feature[i]] == (int64_t)i;
    if (whole || cf_builder_status(b) != CF_OK)
        return all;
    if (cf_alloc(&parts, count, sizeof *parts) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for the weights of a transform");
    for (size_t i = 0; i < count; i++)
        parts[i] = cf_slice(b, all, (size_t)networks->network[feature[i]] * size, size);
    all = cf_concat(b, parts, count);
    cf_free(parts);
    return cf_contiguous(b, all);
}

cf_value cf_feature_weight(const cf_feature_networks *networks, cf_builder *b, size_t k,
                           const int64_t *feature, size_t count) {
    return of_features(networks, b, networks->weight[k],
                       networks->units[k] * cf_feature_networks_inputs(networks, k), feature,
                       count);
}

cf_value cf_feature_bias(const cf_feature_networks *networks, cf_builder *b, size_t k,
                         const int64_t *feature, size_t count) {
    return of_features(networks, b, networks->bias[k], networks->units[k], feature, count);
}

cf_value cf_feature_column(cf_builder *b, cf_value weight, size_t count, size_t units) {
    return cf_slice(b, cf_transpose(b, weight, count * units), 0, count * units);
}

cf_value cf_feature_signal(cf_builder *b, cf_value weight, cf_value bias, cf_value params,
                           size_t count, size_t units, size_t signal) {
    size_t columns = 1 + signal, rows = count * units;
    cf_value last = cf_slice(b, weight, 1, rows * columns - 1);
    last = cf_block(b, last, columns, 0, rows, signal);
    params = cf_broadcast(b, cf_transpose(b, cf_slice(b, params, 0, signal * count), signal));
    return cf_grouped_matmul(b, last, bias, params, rows, count);
}

cf_status cf_feature_networks_check(const cf_spec *spec) {
    size_t count = cf_spec_get(spec, "hidden")->count;
    if (count < 1 || count >= CF_MAX_FEATURE_LAYERS)
        return cf_fail(CF_INVALID, "%s: from 1 to %d hidden layers, got %zu",
                       cf_spec_type_of(spec)->name, CF_MAX_FEATURE_LAYERS - 1, count);
    return CF_OK;
}
