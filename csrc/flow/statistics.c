/* Parameters that are statistics of the data: set before training begins, or mixed from batches. */
#include <string.h>

#include "base/memory.h"
#include "flow/state.h"

/* Whether no statistic of the data has been set yet, and there are any. */
static bool is_unset(const cf_flow *flow) {
    const cf_slab_table *table = &flow->binding.parameters;
    bool any = false;
    for (size_t k = 0; k < table->count; k++) {
        const cf_tensor *tensor = &table->tensors[k];
        any |= tensor->of_data;
        for (size_t i = 0; tensor->of_data && i < tensor->size; i++)
            if (cf_number_at(flow->parameters, tensor->offset + i, flow->dtype) != tensor->constant)
                return false;
    }
    return any;
}

cf_status cf_flow_start_held(cf_flow *flow, const cf_flow_call *call) {
    const cf_slab_table *table = &flow->binding.parameters;
    cf_objective objective = {
        .map = CF_MAP_INVERSE, .mode = CF_STARTING, .jitter = call->jitter != NULL};
    if (!is_unset(flow))
        return CF_OK;
    CF_TRY(cf_flow_run(flow, call, objective));
    size_t element = cf_dtype_size(flow->dtype);
    for (size_t k = 0; k < table->count; k++) {
        const cf_tensor *tensor = &table->tensors[k];
        if (tensor->of_data)
            memcpy((char *)flow->parameters + tensor->offset * element,
                   (char *)flow->gradients + tensor->offset * element, tensor->size * element);
    }
    return CF_OK;
}

bool cf_flow_has_batch_statistics(const cf_flow *flow) {
    const cf_slab_table *table = &flow->binding.parameters;
    for (size_t k = 0; k < table->count; k++)
        if (table->tensors[k].share > 0.0)
            return true;
    return false;
}

void cf_flow_mix_statistics(cf_flow *flow) {
    const cf_slab_table *table = &flow->binding.parameters;
    for (size_t k = 0; k < table->count; k++) {
        const cf_tensor *tensor = &table->tensors[k];
        for (size_t i = tensor->offset; tensor->share > 0.0 && i < tensor->offset + tensor->size;
             i++) {
            double old = cf_number_at(flow->parameters, i, flow->dtype);
            double newest = cf_number_at(flow->gradients, i, flow->dtype);
            cf_flow_set_parameter(flow, i, old + tensor->share * (newest - old));
        }
    }
}
