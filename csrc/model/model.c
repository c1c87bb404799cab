#include "model/model.h"

#include <string.h>

#include "base/lock.h"
#include "base/memory.h"
#include "base/philox.h"
#include "engine/workspace.h"
#include "model/state.h"

/* ---- life ---- */

cf_status cf_model_new(cf_model **out, cf_dtype dtype, uint64_t seed, size_t max_parameters) {
    CF_TRY(cf_alloc(out, 1, sizeof **out));
    cf_model *model = *out;
    model->dtype = dtype;
    model->binding.arena = &model->arena;
    model->binding.seed = seed;
    model->binding.parameters.max = max_parameters > 0 ? max_parameters : INT32_MAX;
    model->binding.buffers.max = INT32_MAX;
    return CF_OK;
}

void cf_model_free(cf_model *model) {
    if (model == NULL)
        return;
    cf_cache_free(&model->cache);
    for (cf_function_entry *entry = model->functions, *next; entry != NULL; entry = next) {
        next = entry->next;
        cf_arena_free(&entry->arena);
        cf_free(entry);
    }
    cf_binding_free(&model->binding);
    cf_arena_free(&model->arena);
    cf_free(model->parameters);
    cf_free(model->gradients);
    cf_free(model->statistics);
    cf_free(model->buffers);
    cf_free(model);
    cf_workspace_trim(); /* its programs' working memory may be of use to nobody else */
}

/* Number i of tensor `number` as it starts. */
static double starting_value(const cf_model *model, const cf_tensor *tensor, size_t number,
                             size_t i) {
    if (tensor->values != NULL)
        return tensor->values[i];
    if (tensor->start == CF_START_CONSTANT)
        return tensor->constant;
    if (tensor->row_ends != NULL && i % tensor->shape[1] >= tensor->row_ends[i / tensor->shape[1]])
        return 0.0;
    if (tensor->mask != NULL && tensor->mask[i] == 0)
        return 0.0;
    double u =
        cf_philox_uniform(model->binding.seed, i, CF_STREAM_INITIAL_WEIGHTS, (uint32_t)number);
    return tensor->bound * (2.0 * u - 1.0);
}

cf_status cf_model_allocate(cf_model *model) {
    const cf_slab_table *parameters = &model->binding.parameters;
    const cf_slab_table *buffers = &model->binding.buffers;
    size_t element = cf_dtype_size(model->dtype);
    CF_TRY(cf_alloc(&model->parameters, parameters->elements, element));
    CF_TRY(cf_alloc(&model->gradients, parameters->elements, element));
    CF_TRY(cf_alloc(&model->statistics, model->binding.statistic_elements, element));
    CF_TRY(cf_alloc(&model->buffers, buffers->elements, sizeof *model->buffers));
    for (size_t k = 0; k < parameters->count; k++) {
        const cf_tensor *tensor = &parameters->tensors[k];
        for (size_t i = 0; i < tensor->size; i++)
            cf_model_set_parameter(model, tensor->offset + i, starting_value(model, tensor, k, i));
    }
    for (size_t k = 0; k < buffers->count; k++)
        memcpy(model->buffers + buffers->tensors[k].offset, buffers->tensors[k].values,
               buffers->tensors[k].size * sizeof *model->buffers);
    return CF_OK;
}

bool cf_model_is_as_started(const cf_model *model, size_t offset) {
    const cf_slab_table *parameters = &model->binding.parameters;
    size_t number = 0;
    while (parameters->tensors[number].offset != offset)
        number++;
    const cf_tensor *tensor = &parameters->tensors[number];
    bool same = !tensor->frozen;
    for (size_t i = 0; same && i < tensor->size; i++) {
        double start = starting_value(model, tensor, number, i);
        if (model->dtype == CF_FLOAT32)
            start = (double)(float)start;
        same = cf_number_at(model->parameters, tensor->offset + i, model->dtype) == start;
    }
    return same;
}

/* ---- what it has ---- */

cf_binding *cf_model_binding(cf_model *model) {
    return &model->binding;
}

cf_dtype cf_model_dtype(const cf_model *model) {
    return model->dtype;
}

uint64_t cf_model_seed(const cf_model *model) {
    return model->binding.seed;
}

const cf_slab_table *cf_model_parameter_table(const cf_model *model) {
    return &model->binding.parameters;
}

const cf_slab_table *cf_model_buffer_table(const cf_model *model) {
    return &model->binding.buffers;
}

void *cf_model_parameters(const cf_model *model) {
    return model->parameters;
}

void *cf_model_gradients(const cf_model *model) {
    return model->gradients;
}

double *cf_model_buffers(const cf_model *model) {
    return model->buffers;
}

size_t cf_model_parameter_bytes(const cf_model *model) {
    return model->binding.parameters.elements * cf_dtype_size(model->dtype);
}

size_t cf_model_buffer_bytes(const cf_model *model) {
    return model->binding.buffers.elements * sizeof *model->buffers;
}

/* ---- numbers ---- */

void cf_model_set_parameter(cf_model *model, size_t index, double value) {
    if (model->dtype == CF_FLOAT32)
        ((float *)model->parameters)[index] = (float)value;
    else
        ((double *)model->parameters)[index] = value;
}

cf_status cf_model_set_gradients(cf_model *model, const void *gradients) {
    cf_lock();
    bool busy = model->locked;
    if (!busy)
        memcpy(model->gradients, gradients, cf_model_parameter_bytes(model));
    cf_unlock();
    return busy ? cf_model_fail_busy() : CF_OK;
}

cf_status cf_model_read(const cf_model *model, void *parameters, double *buffers) {
    cf_lock();
    bool changing = model->changing;
    if (!changing) {
        memcpy(parameters, model->parameters, cf_model_parameter_bytes(model));
        memcpy(buffers, model->buffers, cf_model_buffer_bytes(model));
    }
    cf_unlock();
    return changing ? cf_model_fail_busy() : CF_OK;
}

static cf_status convert_numbers(cf_model *to, const cf_model *from) {
    size_t elements = from->binding.parameters.elements;
    void *numbers;
    CF_TRY(cf_alloc(&numbers, elements, cf_dtype_size(from->dtype)));
    cf_status status = cf_model_read(from, numbers, to->buffers);
    for (size_t i = 0; i < elements && status == CF_OK; i++)
        cf_model_set_parameter(to, i, cf_number_at(numbers, i, from->dtype));
    cf_free(numbers);
    return status;
}

static void copy_frozen(cf_model *to, const cf_model *from) {
    cf_lock();
    for (size_t i = 0; i < from->binding.parameters.count; i++)
        to->binding.parameters.tensors[i].frozen = from->binding.parameters.tensors[i].frozen;
    cf_unlock();
}

cf_status cf_model_copy_numbers(cf_model *to, const cf_model *from) {
    copy_frozen(to, from);
    return to->dtype == from->dtype ? cf_model_read(from, to->parameters, to->buffers)
                                    : convert_numbers(to, from);
}

/* ---- frozen parameters ---- */

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

cf_status cf_model_freeze(cf_model *model, const char *pattern, bool frozen, size_t *count) {
    *count = 0;
    CF_TRY(cf_model_lock(model));
    cf_lock();
    for (size_t i = 0; i < model->binding.parameters.count; i++) {
        cf_tensor *tensor = &model->binding.parameters.tensors[i];
        if (!matches(pattern, tensor->name))
            continue;
        tensor->frozen = frozen || tensor->running;
        (*count)++;
    }
    cf_unlock();
    cf_cache_drop_gradients(&model->cache);
    cf_model_unlock(model);
    return CF_OK;
}

void cf_model_read_frozen(const cf_model *model, bool *frozen) {
    const cf_slab_table *table = &model->binding.parameters;
    cf_lock();
    for (size_t i = 0; i < table->count; i++)
        frozen[i] = table->tensors[i].frozen;
    cf_unlock();
}
