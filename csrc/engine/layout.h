/* Which feature rows of a tile are taken: first fit, for values of known lifetime. */
#ifndef CF_ENGINE_LAYOUT_H
#define CF_ENGINE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
    struct cf_gap {
        uint32_t first, end;
    } * gaps; /* ascending, apart */
    size_t count, capacity;
    uint32_t end; /* feature rows used so far: the size of the tile's memory */
} cf_layout;

/* *first = the first of `rows` free feature rows, which are now taken. */
cf_status cf_layout_acquire(cf_layout *layout, uint32_t rows, uint32_t *first);

/* Frees rows that were taken. */
cf_status cf_layout_release(cf_layout *layout, uint32_t first, uint32_t rows);

void cf_layout_free(cf_layout *layout);

#endif
