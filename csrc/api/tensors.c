/* The numbers of a flow, by tensor: the parameters, then the buffers. */
#include "base/status.h"
#include "flow/flow.h"

size_t cf_flow_parameter_count(const cf_flow *flow) {
    return cf_model_parameter_table(flow->model)->count;
}

size_t cf_flow_tensor_count(const cf_flow *flow) {
    return cf_flow_parameter_count(flow) + cf_model_buffer_table(flow->model)->count;
}

/* NULL if there is no such tensor. */
static const cf_tensor *find(const cf_flow *flow, size_t i) {
    size_t parameters = cf_flow_parameter_count(flow);
    if (i >= cf_flow_tensor_count(flow))
        return NULL;
    return i < parameters ? &cf_model_parameter_table(flow->model)->tensors[i]
                          : &cf_model_buffer_table(flow->model)->tensors[i - parameters];
}

const char *cf_flow_tensor_name(const cf_flow *flow, size_t i) {
    const cf_tensor *tensor = find(flow, i);
    return tensor != NULL ? tensor->name : NULL;
}

size_t cf_flow_tensor_shape(const cf_flow *flow, size_t i, const size_t **shape) {
    const cf_tensor *tensor = find(flow, i);
    *shape = tensor != NULL ? tensor->shape : NULL;
    return tensor != NULL ? tensor->dims : 0;
}

size_t cf_flow_tensor_size(const cf_flow *flow, size_t i) {
    const cf_tensor *tensor = find(flow, i);
    return tensor != NULL ? tensor->size : 0;
}

static cf_status check(const cf_flow *flow, size_t i, size_t count) {
    const cf_tensor *tensor = find(flow, i);
    if (tensor == NULL)
        return cf_fail(CF_INVALID, "the flow has %zu tensors, numbered from 0, got number %zu",
                       cf_flow_tensor_count(flow), i);
    if (count != tensor->size)
        return cf_fail(CF_INVALID, "%s has %zu numbers, got %zu", tensor->name, tensor->size,
                       count);
    return CF_OK;
}

cf_status cf_flow_get_tensor(const cf_flow *flow, size_t i, double *values, size_t count) {
    cf_model *model = flow->model;
    CF_TRY(check(flow, i, count));
    CF_TRY(cf_model_enter(model));
    size_t offset = find(flow, i)->offset;
    bool parameter = i < cf_flow_parameter_count(flow);
    for (size_t k = 0; k < count; k++)
        values[k] =
            parameter ? cf_number_at(cf_model_parameters(model), offset + k, cf_model_dtype(model))
                      : cf_model_buffers(model)[offset + k];
    cf_model_leave(model);
    return CF_OK;
}

cf_status cf_flow_set_tensor(cf_flow *flow, size_t i, const double *values, size_t count) {
    cf_model *model = flow->model;
    CF_TRY(check(flow, i, count));
    CF_TRY(cf_model_lock(model));
    size_t offset = find(flow, i)->offset;
    for (size_t k = 0; k < count; k++)
        if (i < cf_flow_parameter_count(flow))
            cf_model_set_parameter(model, offset + k, values[k]);
        else
            cf_model_buffers(model)[offset + k] = values[k];
    cf_model_unlock(model);
    return CF_OK;
}
