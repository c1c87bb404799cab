#include "model/binding.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

cf_status cf_binding_enter(cf_binding *binding, const char *name, long number, size_t *mark) {
    *mark = strlen(binding->path);
    size_t room = sizeof binding->path - *mark;
    int written = number < 0 ? snprintf(binding->path + *mark, room, "%s.", name)
                             : snprintf(binding->path + *mark, room, "%s%ld.", name, number);
    if (written < 0 || (size_t)written >= room) {
        binding->path[*mark] = '\0';
        return cf_fail(CF_INVALID, "layers are nested too deep: %.80s…", binding->path);
    }
    return CF_OK;
}

void cf_binding_leave(cf_binding *binding, size_t mark) {
    binding->path[mark] = '\0';
}

cf_status cf_binding_keep(cf_binding *binding, cf_spec *spec) {
    cf_status status = cf_grow(&binding->specs, &binding->spec_capacity, binding->spec_count,
                               binding->spec_count + 1, sizeof *binding->specs);
    if (status == CF_OK)
        binding->specs[binding->spec_count++] = spec;
    else
        cf_spec_free(spec);
    return status;
}

static cf_status full_name(cf_binding *binding, const char *name, const char **out) {
    size_t length = strlen(binding->path) + strlen(name) + 1;
    char *text;
    CF_TRY(cf_arena_alloc(binding->arena, &text, length, 1));
    snprintf(text, length, "%s%s", binding->path, name);
    *out = text;
    return CF_OK;
}

static cf_status copy_values(cf_tensor *tensor, cf_arena *arena, const double *values) {
    double *copy;
    CF_TRY(cf_arena_alloc(arena, &copy, tensor->size, sizeof *copy));
    memcpy(copy, values, tensor->size * sizeof *copy);
    tensor->values = copy;
    return CF_OK;
}

/* Appends a tensor whose name, shape and start are set. */
static cf_status add_tensor(cf_binding *binding, cf_slab_table *table, const char *name,
                            cf_tensor tensor, size_t *offset) {
    tensor.size = 1;
    for (size_t i = 0; i < tensor.dims; i++)
        if (!cf_size_mul(tensor.size, tensor.shape[i], &tensor.size) || tensor.size > INT32_MAX)
            return cf_fail(CF_INVALID, "%s%s: more than %d numbers in one tensor", binding->path,
                           name, INT32_MAX);
    CF_TRY(full_name(binding, name, &tensor.name));
    if (tensor.values != NULL)
        CF_TRY(copy_values(&tensor, binding->arena, tensor.values));
    tensor.offset = table->elements;
    size_t end = table->elements + (tensor.size + 15) / 16 * 16;
    if (end > table->max)
        return cf_fail(CF_INVALID, "%s%s: more than %zu parameters", binding->path, name,
                       table->max);
    CF_TRY(cf_grow(&table->tensors, &table->capacity, table->count, table->count + 1,
                   sizeof *table->tensors));
    table->tensors[table->count++] = tensor;
    table->elements = end;
    *offset = tensor.offset;
    return CF_OK;
}

cf_status cf_bind_parameter(cf_binding *binding, const char *name, size_t dims, const size_t *shape,
                            double bound, size_t *offset) {
    cf_tensor tensor = {.dims = dims, .bound = bound};
    memcpy(tensor.shape, shape, dims * sizeof *shape);
    if (bound > 0.0)
        tensor.start = CF_START_UNIFORM;
    return add_tensor(binding, &binding->parameters, name, tensor, offset);
}

cf_status cf_bind_matrix(cf_binding *binding, const char *name, size_t rows, size_t columns,
                         double bound, const uint32_t *row_ends, size_t *offset) {
    cf_tensor tensor = {.dims = 2, .shape = {rows, columns}, .bound = bound, .row_ends = row_ends};
    if (bound > 0.0)
        tensor.start = CF_START_UNIFORM;
    return add_tensor(binding, &binding->parameters, name, tensor, offset);
}

cf_status cf_bind_parameter_values(cf_binding *binding, const char *name, size_t size,
                                   const double *values, size_t *offset) {
    cf_tensor tensor = {.dims = 1, .shape = {size}, .values = values};
    return add_tensor(binding, &binding->parameters, name, tensor, offset);
}

cf_status cf_bind_parameter_constant(cf_binding *binding, const char *name, size_t size,
                                     double value, size_t *offset) {
    cf_tensor tensor = {.dims = 1, .shape = {size}, .constant = value};
    return add_tensor(binding, &binding->parameters, name, tensor, offset);
}

/* The parameter that begins there. */
static cf_tensor *find_parameter(const cf_binding *binding, size_t offset) {
    cf_tensor *tensor = &binding->parameters.tensors[binding->parameters.count - 1];
    while (tensor->offset != offset)
        tensor--;
    return tensor;
}

size_t cf_bound_size(const cf_binding *binding, size_t offset) {
    return find_parameter(binding, offset)->size;
}

cf_status cf_bind_start_values(cf_binding *binding, size_t offset, const double *values) {
    cf_tensor *tensor = find_parameter(binding, offset);
    return copy_values(tensor, binding->arena, values);
}

void cf_bind_freeze_last(cf_binding *binding) {
    binding->parameters.tensors[binding->parameters.count - 1].frozen = true;
}

void cf_bind_mask_last(cf_binding *binding, const unsigned char *mask) {
    binding->parameters.tensors[binding->parameters.count - 1].mask = mask;
}

cf_status cf_bind_matrix_values(cf_binding *binding, const char *name, size_t rows, size_t columns,
                                const double *values, size_t *offset) {
    cf_tensor tensor = {.dims = 2, .shape = {rows, columns}, .values = values};
    return add_tensor(binding, &binding->parameters, name, tensor, offset);
}

cf_status cf_bind_identity(cf_binding *binding, const char *name, size_t n, size_t *offset) {
    double *values;
    if (n > 0 && n > INT32_MAX / n)
        return cf_fail(CF_INVALID, "%s%s: more than %d numbers in one tensor", binding->path, name,
                       INT32_MAX);
    CF_TRY(cf_alloc(&values, n * n, sizeof *values));
    for (size_t i = 0; i < n; i++)
        values[i * (n + 1)] = 1.0;
    cf_status status = cf_bind_matrix_values(binding, name, n, n, values, offset);
    cf_free(values);
    return status;
}

cf_status cf_bind_statistic(cf_binding *binding, const char *name, size_t size,
                            cf_statistic *statistic) {
    bool running = statistic->momentum > 0.0;
    cf_tensor tensor = {.dims = 1,
                        .shape = {size},
                        .constant = statistic->initial,
                        .frozen = running,
                        .running = running};
    CF_TRY(add_tensor(binding, &binding->parameters, name, tensor, &statistic->parameter));
    statistic->size = size;
    statistic->output = binding->statistic_elements;
    binding->statistic_elements += (size + 15) / 16 * 16;
    CF_TRY(cf_grow(&binding->statistics, &binding->statistic_capacity, binding->statistic_count,
                   binding->statistic_count + 1, sizeof *binding->statistics));
    binding->statistics[binding->statistic_count++] = *statistic;
    return CF_OK;
}

cf_status cf_bind_buffer(cf_binding *binding, const char *name, size_t size, const double *values,
                         size_t *offset) {
    cf_tensor tensor = {.dims = 1, .shape = {size}, .values = values};
    return add_tensor(binding, &binding->buffers, name, tensor, offset);
}

void cf_binding_free(cf_binding *binding) {
    for (size_t i = 0; i < binding->spec_count; i++)
        cf_spec_free(binding->specs[i]);
    cf_free(binding->specs);
    cf_free(binding->parameters.tensors);
    cf_free(binding->buffers.tensors);
    cf_free(binding->statistics);
    *binding = (cf_binding){0};
}
