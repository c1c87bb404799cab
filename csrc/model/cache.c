#include "model/cache.h"

#include <string.h>

#include "base/lock.h"
#include "base/memory.h"
#include "model/state.h"

struct cf_cached {
    cf_cached *next;
    cf_program_key key;
    cf_program *program;
    int holders; /* the cache itself, and each use */
};

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
}

static cf_cached *find(const cf_cache *cache, const cf_program_key *key) {
    for (cf_cached *entry = cache->first; entry != NULL; entry = entry->next)
        if (memcmp(&entry->key, key, sizeof *key) == 0)
            return entry;
    return NULL;
}

/* The entry of that key, with one holder more; NULL if there is none. */
static cf_cached *hold(cf_cache *cache, const cf_program_key *key) {
    cf_lock();
    cf_cached *entry = find(cache, key);
    if (entry != NULL)
        entry->holders++;
    cf_unlock();
    return entry;
}

/* Adds an entry, unless another thread was faster. */
static void add(cf_cache *cache, cf_cached *entry) {
    cf_lock();
    if (find(cache, &entry->key) != NULL) {
        release(entry);
    } else {
        entry->next = cache->first;
        cache->first = entry;
    }
    cf_unlock();
}

static cf_status build(const cf_program_key *key, const cf_function *function,
                       const cf_slab_table *parameters, cf_cached **out) {
    CF_TRY(cf_alloc(out, 1, sizeof **out));
    (*out)->key = *key;
    (*out)->holders = 1;
    cf_status status = cf_function_program(&(*out)->program, function, key, parameters);
    if (status != CF_OK)
        cf_free(*out);
    return status;
}

cf_status cf_cache_acquire(cf_cache *cache, const cf_program_key *key, const cf_function *function,
                           const cf_slab_table *parameters, cf_cached **out) {
    while ((*out = hold(cache, key)) == NULL) {
        cf_cached *built;
        CF_TRY(build(key, function, parameters, &built));
        add(cache, built);
    }
    return CF_OK;
}

void cf_cache_release(cf_cached *entry) {
    cf_lock();
    release(entry);
    cf_unlock();
}

const cf_program *cf_cached_program(const cf_cached *entry) {
    return entry->program;
}

void cf_cache_drop_gradients(cf_cache *cache) {
    cf_lock();
    for (cf_cached **link = &cache->first; *link != NULL;) {
        cf_cached *entry = *link;
        if (entry->key.parameter_gradients == 0) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        release(entry);
    }
    cf_unlock();
}
