/* A model's programs, built when first wanted. Thread-safe; a program in use outlives its removal.
 */
#ifndef CF_MODEL_CACHE_H
#define CF_MODEL_CACHE_H

#include "engine/plan.h"
#include "model/binding.h"
#include "model/function.h"

typedef struct cf_cached cf_cached;

/* Starts as all zero. */
typedef struct {
    cf_cached *first;
} cf_cache;

void cf_cache_free(cf_cache *cache);

/* What cf_cache_acquire returns must be released. */
cf_status cf_cache_acquire(cf_cache *cache, const cf_program_key *key, const cf_function *function,
                           const cf_slab_table *parameters, cf_cached **out);
void cf_cache_release(cf_cached *entry);

const cf_program *cf_cached_program(const cf_cached *entry);

/* Forgets the programs with parameter gradients. */
void cf_cache_drop_gradients(cf_cache *cache);

#endif
