/* Allocation with checked sizes. All memory is freed with cf_free. */
#ifndef CF_BASE_MEMORY_H
#define CF_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Alignment in bytes of everything that kernels read: a cache line, the widest vector. */
#define CF_ALIGNMENT 64

/* *out = a * b or a + b; false, with *out untouched, if that overflows. */
bool cf_size_mul(size_t a, size_t b, size_t *out);
bool cf_size_add(size_t a, size_t b, size_t *out);

/* *out = count elements of `size` bytes, zeroed and aligned to CF_ALIGNMENT; a valid pointer for
 * count 0. CF_NO_MEMORY, with *out NULL, if the size overflows or memory is short. */
cf_status cf_alloc(void *out, size_t count, size_t size);

/* Makes room for at least `count` elements of `size` bytes in the growable array *array, of which
 * *capacity are allotted and `used` hold data. On failure the array is untouched. */
cf_status cf_grow(void *array, size_t *capacity, size_t used, size_t count, size_t size);

/* Frees what cf_alloc or cf_grow gave; NULL is accepted. */
void cf_free(void *pointer);

#endif
