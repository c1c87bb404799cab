#include "flow/flow.h"

#include <string.h>

#include "base/lock.h"
#include "base/memory.h"
#include "base/philox.h"
#include "engine/lease.h"
#include "flow/state.h"

static cf_status check_shape(cf_shape shape) {
    const size_t sizes[3] = {shape.channels, shape.height, shape.width};
    const size_t most = 1 << 24;
    for (size_t i = 0, features = 1; i < 3; i++) {
        if (sizes[i] < 1 || sizes[i] > most / features)
            return cf_fail(CF_INVALID,
                           "a shape must have from 1 to %zu numbers, got %zu x %zu x %zu", most,
                           shape.channels, shape.height, shape.width);
        features *= sizes[i];
    }
    return CF_OK;
}

static cf_status check_sizes(cf_shape shape, size_t context) {
    if (shape.image)
        CF_TRY(check_shape(shape));
    else if (shape.channels < 1 || shape.channels > 1 << 24)
        return cf_fail(CF_INVALID, "features must be from 1 to 16777216, got %zu", shape.channels);
    if (context > 1 << 24)
        return cf_fail(CF_INVALID, "context features must be at most 16777216, got %zu", context);
    return CF_OK;
}

static cf_status check_role(const cf_spec *spec, const char *role, const char *wanted) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    if (strcmp(type->role, role) != 0)
        return cf_fail(CF_TYPE, "%s must be %s, got %s, which is a %s", role, wanted, type->name,
                       type->role);
    return CF_OK;
}

static cf_status bind_embedding(cf_flow *flow, cf_spec *spec, size_t context) {
    if (spec != NULL) {
        CF_TRY(cf_binding_keep(&flow->binding, cf_spec_retain(spec)));
        CF_TRY(check_role(spec, "embedding", "an Embedding"));
    }
    return cf_embedding_bind(&flow->body.embedding, spec, &flow->binding, context);
}

/* A new spec of `type`, kept by the flow; *out is finished unless a further option is to be set. */
static cf_status new_kept_spec(cf_flow *flow, const cf_spec_type *type, cf_spec **out) {
    CF_TRY(cf_spec_new(out, type));
    return cf_binding_keep(&flow->binding, *out);
}

static cf_status bind_layers(cf_flow *flow, cf_spec *const *layers, size_t count) {
    cf_spec *chain;
    CF_TRY(new_kept_spec(flow, &cf_chain_type, &chain));
    CF_TRY(cf_spec_set_specs(chain, "layers", layers, count));
    CF_TRY(cf_layer_reshape(chain, true, &flow->base_shape));
    return cf_layer_bind(&flow->body.chain, chain, &flow->binding, flow->body.shape,
                         cf_vector(flow->body.embedding.features));
}

static cf_status bind_base(cf_flow *flow, cf_spec *spec) {
    size_t mark;
    if (spec == NULL)
        CF_TRY(new_kept_spec(flow, &cf_normal_type, &spec));
    else
        CF_TRY(cf_binding_keep(&flow->binding, cf_spec_retain(spec)));
    CF_TRY(check_role(spec, "base", "a base distribution"));
    CF_TRY(cf_binding_enter(&flow->binding, "base", -1, &mark));
    cf_status status =
        cf_base_bind(&flow->body.base, spec, &flow->binding, cf_shape_features(flow->base_shape),
                     flow->body.embedding.features);
    cf_binding_leave(&flow->binding, mark);
    return status;
}

void cf_flow_set_parameter(cf_flow *flow, size_t index, double value) {
    if (flow->dtype == CF_FLOAT32)
        ((float *)flow->parameters)[index] = (float)value;
    else
        ((double *)flow->parameters)[index] = value;
}

/* Number i of tensor `number` as it starts. */
static double starting_value(const cf_flow *flow, const cf_tensor *tensor, size_t number,
                             size_t i) {
    if (tensor->values != NULL)
        return tensor->values[i];
    if (tensor->start == CF_START_CONSTANT)
        return tensor->constant;
    if (tensor->row_ends != NULL && i % tensor->shape[1] >= tensor->row_ends[i / tensor->shape[1]])
        return 0.0;
    double u =
        cf_philox_uniform(flow->binding.seed, i, CF_STREAM_INITIAL_WEIGHTS, (uint32_t)number);
    return tensor->bound * (2.0 * u - 1.0);
}

static cf_status allocate_slabs(cf_flow *flow) {
    const cf_slab_table *parameters = &flow->binding.parameters, *buffers = &flow->binding.buffers;
    size_t element = cf_dtype_size(flow->dtype);
    CF_TRY(cf_alloc(&flow->parameters, parameters->elements, element));
    CF_TRY(cf_alloc(&flow->gradients, parameters->elements, element));
    CF_TRY(cf_alloc(&flow->buffers, buffers->elements, sizeof *flow->buffers));
    for (size_t k = 0; k < parameters->count; k++) {
        const cf_tensor *tensor = &parameters->tensors[k];
        for (size_t i = 0; i < tensor->size; i++)
            cf_flow_set_parameter(flow, tensor->offset + i, starting_value(flow, tensor, k, i));
    }
    for (size_t k = 0; k < buffers->count; k++)
        memcpy(flow->buffers + buffers->tensors[k].offset, buffers->tensors[k].values,
               buffers->tensors[k].size * sizeof *flow->buffers);
    return CF_OK;
}

static cf_status build(cf_flow *flow, const cf_flow_parts *parts) {
    CF_TRY(bind_embedding(flow, parts->embedding, parts->context));
    CF_TRY(bind_layers(flow, parts->layers, parts->layer_count));
    CF_TRY(bind_base(flow, parts->base));
    return allocate_slabs(flow);
}

cf_status cf_flow_new(cf_flow **out, const cf_flow_parts *parts) {
    cf_flow *flow;
    *out = NULL;
    CF_TRY(check_sizes(parts->shape, parts->context));
    CF_TRY(cf_alloc(&flow, 1, sizeof *flow));
    flow->body.shape = flow->base_shape = parts->shape;
    flow->dtype = parts->dtype;
    flow->binding.pile = &flow->pile;
    flow->binding.seed = parts->seed;
    flow->binding.parameters.most = parts->most_parameters > 0 ? parts->most_parameters : INT32_MAX;
    flow->binding.buffers.most = INT32_MAX;
    cf_status status = build(flow, parts);
    if (status != CF_OK)
        cf_flow_free(flow);
    else
        *out = flow;
    return status;
}

cf_status cf_flow_read(const cf_flow *flow, void *parameters, double *buffers) {
    size_t bytes = flow->binding.parameters.elements * cf_dtype_size(flow->dtype);
    cf_lock();
    bool changing = flow->changing;
    if (!changing) {
        memcpy(parameters, flow->parameters, bytes);
        memcpy(buffers, flow->buffers, flow->binding.buffers.elements * sizeof *buffers);
    }
    cf_unlock();
    return changing ? cf_flow_fail_busy() : CF_OK;
}

/* The same numbers in a flow that differs in nothing but perhaps the dtype. */
static cf_status copy_numbers(cf_flow *to, const cf_flow *from) {
    size_t elements = from->binding.parameters.elements;
    void *numbers;
    if (to->dtype == from->dtype)
        return cf_flow_read(from, to->parameters, to->buffers);
    CF_TRY(cf_alloc(&numbers, elements, cf_dtype_size(from->dtype)));
    cf_status status = cf_flow_read(from, numbers, to->buffers);
    for (size_t i = 0; i < elements && status == CF_OK; i++)
        cf_flow_set_parameter(to, i, cf_number_at(numbers, i, from->dtype));
    cf_free(numbers);
    return status;
}

cf_status cf_flow_copy(cf_flow **out, const cf_flow *flow, cf_dtype dtype) {
    const cf_setting *layers = cf_spec_get(flow->body.chain.spec, "layers");
    cf_flow_parts parts = {.layers = layers->specs,
                           .layer_count = layers->count,
                           .base = flow->body.base.spec,
                           .embedding = flow->body.embedding.spec,
                           .shape = flow->body.shape,
                           .context = flow->body.embedding.context,
                           .dtype = dtype,
                           .seed = flow->binding.seed};
    CF_TRY(cf_flow_new(out, &parts));
    for (size_t i = 0; i < flow->binding.parameters.count; i++)
        (*out)->binding.parameters.tensors[i].frozen = flow->binding.parameters.tensors[i].frozen;
    cf_status status = copy_numbers(*out, flow);
    if (status != CF_OK) {
        cf_flow_free(*out);
        *out = NULL;
    }
    return status;
}

void cf_flow_free(cf_flow *flow) {
    if (flow == NULL)
        return;
    cf_cache_free(&flow->cache);
    cf_binding_free(&flow->binding);
    cf_pile_free(&flow->pile);
    cf_free(flow->parameters);
    cf_free(flow->gradients);
    cf_free(flow->buffers);
    cf_free(flow);
    cf_lease_trim(); /* its programs' working memory may be of use to nobody else */
}

cf_shape cf_flow_shape(const cf_flow *flow) {
    return flow->body.shape;
}

cf_shape cf_flow_base_shape(const cf_flow *flow) {
    return flow->base_shape;
}

size_t cf_flow_features(const cf_flow *flow) {
    return cf_shape_features(flow->body.shape);
}

size_t cf_flow_context(const cf_flow *flow) {
    return flow->body.embedding.context;
}

cf_dtype cf_flow_dtype(const cf_flow *flow) {
    return flow->dtype;
}

uint64_t cf_flow_seed(const cf_flow *flow) {
    return flow->binding.seed;
}

const cf_layer *cf_flow_chain(const cf_flow *flow) {
    return &flow->body.chain;
}

const cf_base *cf_flow_base(const cf_flow *flow) {
    return &flow->body.base;
}

cf_spec *cf_flow_embedding(const cf_flow *flow) {
    return flow->body.embedding.spec;
}

const cf_slab_table *cf_flow_parameter_table(const cf_flow *flow) {
    return &flow->binding.parameters;
}

const cf_slab_table *cf_flow_buffer_table(const cf_flow *flow) {
    return &flow->binding.buffers;
}

void *cf_flow_parameters(const cf_flow *flow) {
    return flow->parameters;
}

void *cf_flow_gradients(const cf_flow *flow) {
    return flow->gradients;
}

double *cf_flow_buffers(const cf_flow *flow) {
    return flow->buffers;
}

/* Whether `name` matches `pattern`, in which * stands for any characters. */
static bool matches(const char *pattern, const char *name) {
    const char *star = NULL, *resume = name;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

cf_status cf_flow_set_gradients(cf_flow *flow, const void *gradients) {
    size_t bytes = flow->binding.parameters.elements * cf_dtype_size(flow->dtype);
    cf_lock();
    bool busy = flow->held;
    if (!busy)
        memcpy(flow->gradients, gradients, bytes);
    cf_unlock();
    return busy ? cf_flow_fail_busy() : CF_OK;
}

cf_status cf_flow_freeze(cf_flow *flow, const char *pattern, bool frozen, size_t *count) {
    *count = 0;
    CF_TRY(cf_flow_lock(flow));
    for (size_t i = 0; i < flow->binding.parameters.count; i++) {
        cf_tensor *tensor = &flow->binding.parameters.tensors[i];
        if (!matches(pattern, tensor->name))
            continue;
        tensor->frozen = frozen || tensor->share > 0.0;
        (*count)++;
    }
    cf_cache_drop_gradients(&flow->cache);
    cf_flow_unlock(flow);
    return CF_OK;
}
