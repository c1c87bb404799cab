/* A flow's programs, built when first wanted. Thread-safe; a program in use outlives its removal.
 */
#ifndef CF_FLOW_CACHE_H
#define CF_FLOW_CACHE_H

#include "flow/objective.h"

typedef struct cf_cached cf_cached;

/* Starts as all zero. */
typedef struct {
    cf_cached *first;
} cf_cache;

void cf_cache_free(cf_cache *cache);

/* What cf_cache_take gave must be given back. */
cf_status cf_cache_take(cf_cache *cache, const cf_objective *objective, const cf_flow_body *body,
                        const cf_slab_table *parameters, cf_cached **out);
void cf_cache_give(cf_cached *entry);

const cf_program *cf_cached_program(const cf_cached *entry);

/* Forgets the programs with parameter gradients. */
void cf_cache_drop_gradients(cf_cache *cache);

#endif
