#include "layers/amortized.h"

#include "base/memory.h"
#include "base/philox.h"
#include "ops/ops.h"

static bool part_size(const cf_part *part, size_t *size) {
    *size = part->rows;
    return part->columns == 0 || cf_size_mul(part->rows, part->columns, size);
}

bool cf_parts_size(const cf_part *part, size_t count, size_t *size) {
    *size = 0;
    for (size_t i = 0; i < count; i++) {
        size_t each;
        if (!part_size(&part[i], &each) || each > INT32_MAX || (*size += each) > INT32_MAX)
            return false;
    }
    return true;
}

void cf_random_start(double *out, size_t count, double bound, const cf_binding *binding,
                     uint64_t row) {
    uint32_t block = (uint32_t)binding->parameters.count;
    for (size_t i = 0; i < count; i++)
        out[i] =
            bound * (2.0 * cf_philox_uniform(binding->seed, row + i, CF_STREAM_START, block) - 1.0);
}

static cf_status bind_network(cf_amortized *out, const cf_layer *layer, cf_binding *binding,
                              size_t outputs, const double *start) {
    cf_spec *network;
    CF_TRY(cf_network_spec(layer->spec, &network));
    CF_TRY(cf_binding_keep(binding, network));
    cf_conditioner_sizes sizes = {.shape = cf_vector(0),
                                  .context = layer->context,
                                  .outputs = outputs,
                                  .groups = 1,
                                  .start = start};
    return cf_conditioner_bind(&out->conditioner, network, binding, "conditioner", sizes, true);
}

static cf_status bind_learned(cf_binding *binding, const cf_part *part, const double *start,
                              size_t *offset) {
    if (part->columns == 0)
        return cf_bind_parameter_values(binding, part->name, part->rows, start, offset);
    return cf_bind_matrix_values(binding, part->name, part->rows, part->columns, start, offset);
}

cf_status cf_amortized_bind(cf_amortized *out, const cf_layer *layer, cf_binding *binding,
                            const cf_part *part, size_t count, const double *start) {
    size_t total = 0;
    *out = (cf_amortized){.count = count, .by_network = cf_shape_features(layer->context) > 0};
    for (size_t i = 0; i < count; i++) {
        part_size(&part[i], &out->size[i]);
        out->offset[i] = total;
        total += out->size[i];
    }
    if (out->by_network)
        return bind_network(out, layer, binding, total, start);
    for (size_t i = 0; i < count; i++)
        CF_TRY(bind_learned(binding, &part[i], start + out->offset[i], &out->offset[i]));
    return CF_OK;
}

void cf_amortized_emit(const cf_amortized *given, cf_builder *b, cf_value context, cf_value *part) {
    cf_value outputs = CF_NO_VALUE;
    if (given->by_network)
        outputs = cf_conditioner_emit(&given->conditioner, b, CF_NO_VALUE, context);
    for (size_t i = 0; i < given->count; i++)
        part[i] = given->by_network ? cf_slice(b, outputs, given->offset[i], given->size[i])
                                    : cf_parameter(b, given->offset[i], given->size[i]);
}

cf_value cf_dot(cf_builder *b, cf_value vector, cf_value x) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_value_kind(b, vector) == CF_UNBATCHED && cf_value_kind(b, x) == CF_BATCHED)
        return cf_matmul(b, vector, CF_NO_VALUE, x, 1);
    return cf_sum_features(b, cf_multiply(b, vector, x));
}

cf_value cf_length(cf_builder *b, cf_value x) {
    return cf_sum_features(b, cf_multiply(b, cf_unit_vector(b, x), x));
}
