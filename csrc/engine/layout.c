#include "engine/layout.h"

#include <string.h>

#include "base/memory.h"

static void remove_gap(cf_layout *layout, size_t i) {
    layout->count--;
    memmove(layout->gaps + i, layout->gaps + i + 1, (layout->count - i) * sizeof *layout->gaps);
}

cf_status cf_layout_acquire(cf_layout *layout, uint32_t rows, uint32_t *first) {
    for (size_t i = 0; i < layout->count; i++) {
        struct cf_gap *gap = &layout->gaps[i];
        if (gap->end - gap->first < rows)
            continue;
        *first = gap->first;
        gap->first += rows;
        if (gap->first == gap->end)
            remove_gap(layout, i);
        return CF_OK;
    }
    /* A gap at the end of the memory grows with it. */
    uint32_t start = layout->end;
    bool at_end = layout->count > 0 && layout->gaps[layout->count - 1].end == layout->end;
    if (at_end)
        start = layout->gaps[layout->count - 1].first;
    if (rows > INT32_MAX - start)
        return cf_fail(CF_NO_MEMORY, "the memory of one tile exceeds %d feature rows", INT32_MAX);
    if (at_end)
        layout->count--;
    *first = start;
    layout->end = start + rows;
    return CF_OK;
}

cf_status cf_layout_release(cf_layout *layout, uint32_t first, uint32_t rows) {
    if (rows == 0)
        return CF_OK;
    CF_TRY(cf_grow(&layout->gaps, &layout->capacity, layout->count, layout->count + 1,
                   sizeof *layout->gaps));
    size_t i = 0;
    while (i < layout->count && layout->gaps[i].first < first)
        i++;
    memmove(layout->gaps + i + 1, layout->gaps + i, (layout->count - i) * sizeof *layout->gaps);
    layout->gaps[i] = (struct cf_gap){first, first + rows};
    layout->count++;
    if (i + 1 < layout->count && layout->gaps[i].end == layout->gaps[i + 1].first) {
        layout->gaps[i].end = layout->gaps[i + 1].end;
        remove_gap(layout, i + 1);
    }
    if (i > 0 && layout->gaps[i - 1].end == layout->gaps[i].first) {
        layout->gaps[i - 1].end = layout->gaps[i].end;
        remove_gap(layout, i);
    }
    return CF_OK;
}

void cf_layout_free(cf_layout *layout) {
    cf_free(layout->gaps);
    *layout = (cf_layout){0};
}
