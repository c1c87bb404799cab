/* Calls of functions: the program that gives what a call wants is acquired and run. */
#include <string.h>

#include "base/lock.h"
#include "base/memory.h"
#include "model/state.h"

/* ---- functions ---- */

/* Under the lock. */
static cf_function_entry *find(const cf_model *model, const char *name) {
    cf_function_entry *entry = model->functions;
    while (entry != NULL && strcmp(entry->function.name, name) != 0)
        entry = entry->next;
    return entry;
}

const cf_function *cf_model_function(const cf_model *model, const char *name) {
    cf_lock();
    cf_function_entry *entry = find(model, name);
    cf_unlock();
    return entry == NULL ? NULL : &entry->function;
}

cf_status cf_model_add_function(cf_model *model, const cf_function *function, cf_arena *arena) {
    cf_function_entry *entry;
    cf_arena none = {0};
    cf_status status = cf_alloc(&entry, 1, sizeof *entry);
    if (arena == NULL)
        arena = &none;
    if (status != CF_OK) {
        cf_arena_free(arena);
        return status;
    }
    entry->function = *function;
    entry->arena = *arena;
    cf_lock();
    bool known = find(model, function->name) != NULL;
    if (!known) {
        entry->next = model->functions;
        entry->number = entry->next == NULL ? 0 : entry->next->number + 1;
        model->functions = entry;
    }
    cf_unlock();
    if (!known)
        return CF_OK;
    status = cf_fail(CF_INVALID, "there is a function called %s already", function->name);
    cf_arena_free(arena);
    cf_free(entry);
    return status;
}

static const cf_function_entry *entry_of(const cf_function *function) {
    return (const cf_function_entry *)((const char *)function -
                                       offsetof(cf_function_entry, function));
}

const cf_function *cf_model_earlier_function(const cf_model *model, const cf_function *later) {
    cf_lock();
    const cf_function_entry *entry = later == NULL ? model->functions : entry_of(later)->next;
    cf_unlock();
    return entry == NULL ? NULL : &entry->function;
}

/* ---- calls ---- */

static cf_program_key key_of(const cf_function_call *call) {
    cf_program_key key;
    memset(&key, 0, sizeof key);
    key.function = entry_of(call->function)->number;
    key.mode = (uint32_t)call->mode;
    key.deterministic = call->deterministic;
    key.parameter_gradients = call->want_parameter_gradients;
    for (size_t i = 0; i < CF_MAX_PORTS; i++) {
        key.inputs |= (uint32_t)(call->input[i].data != NULL) << i;
        key.outputs |= (uint32_t)(call->output[i].data != NULL) << i;
        key.cotangents |= (uint32_t)(call->cotangent[i].data != NULL) << i;
        key.gradients |= (uint32_t)(call->gradient[i].data != NULL) << i;
    }
    return key;
}

static cf_status check_inputs(const cf_function_call *call) {
    for (size_t i = 0; i < CF_MAX_PORTS; i++) {
        const cf_port *port = &call->function->input[i];
        if (cf_is_port(port) && !port->optional && call->input[i].data == NULL)
            return cf_fail(CF_INVALID, "%s needs %s of %zu features", call->function->name,
                           port->name, cf_shape_features(port->shape));
    }
    return CF_OK;
}

cf_status cf_model_call_locked(cf_model *model, const cf_function_call *call) {
    cf_program_key key = key_of(call);
    cf_cached *entry;
    cf_run_args args = {.samples = call->samples,
                        .dtype = model->dtype,
                        .threads = call->threads,
                        .seed = call->seed,
                        .first_sample = call->first_sample,
                        .parameters = model->parameters,
                        .gradients = call->parameter_gradients ? call->parameter_gradients
                                                               : model->gradients,
                        .statistics = model->statistics,
                        .buffers = model->buffers};
    CF_TRY(check_inputs(call));
    if (call->mode != CF_EVALUATION)
        cf_model_reset_statistics(model);
    for (size_t i = 0; i < CF_MAX_PORTS; i++) {
        if (key.inputs >> i & 1)
            args.input[i] = call->input[i];
        if (key.cotangents >> i & 1)
            args.input[CF_MAX_PORTS + i] = call->cotangent[i];
        args.output[i] = call->output[i];
        args.output[CF_MAX_PORTS + i] = call->gradient[i];
    }
    CF_TRY(
        cf_cache_acquire(&model->cache, &key, call->function, &model->binding.parameters, &entry));
    cf_status status = cf_run(cf_cached_program(entry), &args);
    cf_cache_release(entry);
    if (status == CF_OK && call->function->finish != NULL)
        call->function->finish(call->function->self, call);
    return status;
}

cf_status cf_model_call(cf_model *model, const cf_function_call *call) {
    CF_TRY(cf_model_enter(model));
    cf_status status = cf_model_call_locked(model, call);
    cf_model_leave(model);
    return status;
}
