#include "base/arena.h"

#include <string.h>

#include "base/memory.h"

enum { BLOCK_BYTES = 16384 };

struct cf_arena_block {
    struct cf_arena_block *previous;
    char *bytes;
    size_t used, capacity;
};

static cf_status add_block(cf_arena *arena, size_t capacity) {
    struct cf_arena_block *block;
    CF_TRY(cf_alloc(&block, 1, sizeof *block));
    cf_status status = cf_alloc(&block->bytes, capacity, 1);
    if (status != CF_OK) {
        cf_free(block);
        return status;
    }
    block->capacity = capacity;
    block->previous = arena->last;
    arena->last = block;
    return CF_OK;
}

cf_status cf_arena_alloc(cf_arena *arena, void *out, size_t count, size_t size) {
    size_t bytes;
    if (!cf_size_mul(count, size, &bytes) || !cf_size_add(bytes, CF_ALIGNMENT, &bytes))
        return cf_fail(CF_NO_MEMORY, "%zu elements of %zu bytes exceed the address space", count,
                       size);
    bytes -= bytes % CF_ALIGNMENT;
    if (arena->last == NULL || arena->last->capacity - arena->last->used < bytes)
        CF_TRY(add_block(arena, bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES));
    void *pointer = arena->last->bytes + arena->last->used;
    arena->last->used += bytes;
    memcpy(out, &pointer, sizeof pointer);
    return CF_OK;
}

void cf_arena_free(cf_arena *arena) {
    while (arena->last != NULL) {
        struct cf_arena_block *block = arena->last;
        arena->last = block->previous;
        cf_free(block->bytes);
        cf_free(block);
    }
}
