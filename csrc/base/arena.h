/* An arena: many small allocations that are freed together. */
#ifndef CF_BASE_ARENA_H
#define CF_BASE_ARENA_H

#include <stddef.h>

#include "base/status.h"

typedef struct {
    struct cf_arena_block *last;
} cf_arena;

/* *out = count elements of `size` bytes, zeroed, valid until cf_arena_free. */
cf_status cf_arena_alloc(cf_arena *arena, void *out, size_t count, size_t size);

void cf_arena_free(cf_arena *arena);

#endif
