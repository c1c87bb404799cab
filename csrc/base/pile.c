#include "base/pile.h"

#include <string.h>

#include "base/memory.h"

enum { BLOCK_BYTES = 16384 };

struct cf_pile_block {
    struct cf_pile_block *previous;
    char *bytes;
    size_t used, capacity;
};

static cf_status add_block(cf_pile *pile, size_t capacity) {
    struct cf_pile_block *block;
    CF_TRY(cf_alloc(&block, 1, sizeof *block));
    cf_status status = cf_alloc(&block->bytes, capacity, 1);
    if (status != CF_OK) {
        cf_free(block);
        return status;
    }
    block->capacity = capacity;
    block->previous = pile->last;
    pile->last = block;
    return CF_OK;
}

cf_status cf_pile_take(cf_pile *pile, void *out, size_t count, size_t size) {
    size_t bytes;
    if (!cf_size_mul(count, size, &bytes) || !cf_size_add(bytes, CF_ALIGNMENT, &bytes))
        return cf_fail(CF_NO_MEMORY, "%zu elements of %zu bytes exceed the address space", count,
                       size);
    bytes -= bytes % CF_ALIGNMENT;
    if (pile->last == NULL || pile->last->capacity - pile->last->used < bytes)
        CF_TRY(add_block(pile, bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES));
    void *pointer = pile->last->bytes + pile->last->used;
    pile->last->used += bytes;
    memcpy(out, &pointer, sizeof pointer);
    return CF_OK;
}

void cf_pile_free(cf_pile *pile) {
    while (pile->last != NULL) {
        struct cf_pile_block *block = pile->last;
        pile->last = block->previous;
        cf_free(block->bytes);
        cf_free(block);
    }
}
