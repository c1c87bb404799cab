#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool cf_size_mul(size_t a, size_t b, size_t *out) {
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool cf_size_add(size_t a, size_t b, size_t *out) {
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

cf_status cf_alloc(void *out, size_t count, size_t size) {
    void *pointer = NULL;
    size_t bytes = 0, rounded;
    bool fits = cf_size_mul(count, size, &bytes) && cf_size_add(bytes, CF_ALIGNMENT, &rounded) &&
                rounded <= PTRDIFF_MAX;
    if (fits) {
        rounded -= rounded % CF_ALIGNMENT;
        pointer = aligned_alloc(CF_ALIGNMENT, rounded);
    }
    /* Through memcpy because `out` may point to a pointer of any type. */
    memcpy(out, &pointer, sizeof pointer);
    if (!fits)
        return cf_fail(CF_NO_MEMORY, "%zu elements of %zu bytes exceed the address space", count,
                       size);
    if (pointer == NULL)
        return cf_fail(CF_NO_MEMORY, "no memory for %zu bytes", bytes);
    memset(pointer, 0, rounded);
    return CF_OK;
}

cf_status cf_grow(void *array, size_t *capacity, size_t used, size_t count, size_t size) {
    void *old, *bigger;
    if (count <= *capacity)
        return CF_OK;
    size_t wanted = count / 2 < *capacity && *capacity <= SIZE_MAX / 2 ? 2 * *capacity : count;
    CF_TRY(cf_alloc(&bigger, wanted, size));
    memcpy(&old, array, sizeof old);
    if (used > 0)
        memcpy(bigger, old, used * size);
    cf_free(old);
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted;
    return CF_OK;
}

void cf_free(void *pointer) {
    free(pointer);
}
