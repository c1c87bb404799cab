/* A pile: many small allocations that are freed together. */
#ifndef CF_BASE_PILE_H
#define CF_BASE_PILE_H

#include <stddef.h>

#include "base/status.h"

typedef struct {
    struct cf_pile_block *last;
} cf_pile;

/* *out = count elements of `size` bytes, zeroed, valid until cf_pile_free. */
cf_status cf_pile_take(cf_pile *pile, void *out, size_t count, size_t size);

void cf_pile_free(cf_pile *pile);

#endif
