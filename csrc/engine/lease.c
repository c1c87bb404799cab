#include "engine/lease.h"

#include "base/lock.h"
#include "base/memory.h"

/* As many as the callers that are likely to run at once; what is given back beyond that is freed.
 */
enum { KEPT = 16, SMALL = 1 << 20 };

static cf_lease kept[KEPT];

/* Takes the smallest kept lease that is large enough; false if there is none. */
static bool take_kept(size_t bytes, cf_lease *out) {
    cf_lease *best = NULL;
    cf_lock();
    for (int i = 0; i < KEPT; i++)
        if (kept[i].bytes >= bytes && kept[i].memory != NULL &&
            (best == NULL || kept[i].bytes < best->bytes))
            best = &kept[i];
    if (best != NULL) {
        *out = *best;
        *best = (cf_lease){0};
    }
    cf_unlock();
    return best != NULL;
}

cf_status cf_lease_take(size_t bytes, cf_lease *out) {
    if (take_kept(bytes, out))
        return CF_OK;
    *out = (cf_lease){0};
    CF_TRY(cf_alloc(&out->memory, bytes, 1));
    out->bytes = bytes;
    return CF_OK;
}

/* Keeps the lease in an empty place or in that of a smaller one; *lease becomes what must be freed.
 */
static void keep(cf_lease *lease) {
    cf_lease *smallest = &kept[0];
    for (int i = 1; i < KEPT; i++)
        if (kept[i].bytes < smallest->bytes)
            smallest = &kept[i];
    if (smallest->bytes < lease->bytes) {
        cf_lease replaced = *smallest;
        *smallest = *lease;
        *lease = replaced;
    }
}

void cf_lease_give(cf_lease *lease) {
    if (lease->memory == NULL)
        return;
    cf_lock();
    keep(lease);
    cf_unlock();
    cf_free(lease->memory);
    *lease = (cf_lease){0};
}

void cf_lease_trim(void) {
    for (int i = 0; i < KEPT; i++) {
        cf_lease large = {0};
        cf_lock();
        if (kept[i].bytes > SMALL) {
            large = kept[i];
            kept[i] = (cf_lease){0};
        }
        cf_unlock();
        cf_free(large.memory);
    }
}
