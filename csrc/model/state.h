/* What a model holds, for the files of this folder alone. */
#ifndef CF_MODEL_STATE_H
#define CF_MODEL_STATE_H

#include "model/cache.h"
#include "model/model.h"

/* Functions do not move, since calls refer to them. */
typedef struct cf_function_entry {
    struct cf_function_entry *next;
    uint32_t number;
    cf_function function;
    cf_arena arena;
} cf_function_entry;

struct cf_model {
    cf_arena arena;
    cf_binding binding;
    cf_dtype dtype;
    void *parameters, *gradients, *statistics;
    double *buffers;
    cf_cache cache;
    cf_function_entry *functions; /* guarded by cf_lock */
    /* Who computes: guarded by cf_lock. */
    size_t callers;
    unsigned forks; /* cf_forks() when they entered */
    bool locked, changing;
};

/* The message of CF_BUSY. */
cf_status cf_model_fail_busy(void);

/* The program of a function. */
cf_status cf_function_program(cf_program **out, const cf_function *function,
                              const cf_program_key *key, const cf_slab_table *parameters);

#endif
