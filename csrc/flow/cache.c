#include "flow/cache.h"

#include <string.h>

#include "base/memory.h"

struct cf_cached {
    cf_cached *next;
    cf_objective objective;
    cf_program *program;
    int holders; /* the cache itself, and each use */
};

cf_status cf_cache_new(cf_cache *cache) {
    cache->first = NULL;
    if (pthread_mutex_init(&cache->lock, NULL) != 0)
        return cf_fail(CF_NO_MEMORY, "no mutex could be made");
    return CF_OK;
}

static void release(cf_cached *entry) {
    if (--entry->holders > 0)
        return;
    cf_program_free(entry->program);
    cf_free(entry);
}

void cf_cache_free(cf_cache *cache) {
    for (cf_cached *entry = cache->first, *next; entry != NULL; entry = next) {
        next = entry->next;
        release(entry);
    }
    pthread_mutex_destroy(&cache->lock);
}

static bool same(const cf_objective *a, const cf_objective *b) {
    return a->map == b->map && a->value == b->value && a->log_det == b->log_det &&
           a->score == b->score && a->dvalue == b->dvalue && a->dlog_det == b->dlog_det &&
           a->dx == b->dx && a->dcontext == b->dcontext && a->gradients == b->gradients &&
           a->jitter == b->jitter;
}

static cf_cached *find(const cf_cache *cache, const cf_objective *objective) {
    for (cf_cached *entry = cache->first; entry != NULL; entry = entry->next)
        if (same(&entry->objective, objective))
            return entry;
    return NULL;
}

static cf_status add(cf_cache *cache, const cf_objective *objective, const cf_layer *chain,
                     const cf_base *base, const cf_slab_table *parameters, cf_cached **out) {
    cf_cached *entry;
    CF_TRY(cf_alloc(&entry, 1, sizeof *entry));
    cf_status status = cf_objective_program(&entry->program, objective, chain, base, parameters);
    if (status != CF_OK) {
        cf_free(entry);
        return status;
    }
    entry->objective = *objective;
    entry->holders = 1;
    entry->next = cache->first;
    cache->first = *out = entry;
    return CF_OK;
}

cf_status cf_cache_take(cf_cache *cache, const cf_objective *objective, const cf_layer *chain,
                        const cf_base *base, const cf_slab_table *parameters, cf_cached **out) {
    cf_status status = CF_OK;
    pthread_mutex_lock(&cache->lock);
    *out = find(cache, objective);
    if (*out == NULL)
        status = add(cache, objective, chain, base, parameters, out);
    if (status == CF_OK)
        (*out)->holders++;
    pthread_mutex_unlock(&cache->lock);
    return status;
}

void cf_cache_give(cf_cache *cache, cf_cached *entry) {
    pthread_mutex_lock(&cache->lock);
    release(entry);
    pthread_mutex_unlock(&cache->lock);
}

const cf_program *cf_cached_program(const cf_cached *entry) {
    return entry->program;
}

void cf_cache_drop_gradients(cf_cache *cache) {
    pthread_mutex_lock(&cache->lock);
    for (cf_cached **link = &cache->first; *link != NULL;) {
        cf_cached *entry = *link;
        if (!entry->objective.gradients) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        release(entry);
    }
    pthread_mutex_unlock(&cache->lock);
}
