#include "engine/workspace.h"

#include "base/lock.h"
#include "base/memory.h"

/* As many as the callers that are likely to run at once; what is given back beyond that is freed.
 */
enum { KEPT = 16, SMALL = 1 << 20 };

static cf_workspace kept[KEPT];

/* Takes the smallest kept workspace that is large enough; false if there is none. */
static bool acquire_kept(size_t bytes, cf_workspace *out) {
    cf_workspace *best = NULL;
    cf_lock();
    for (int i = 0; i < KEPT; i++)
        if (kept[i].bytes >= bytes && kept[i].memory != NULL &&
            (best == NULL || kept[i].bytes < best->bytes))
            best = &kept[i];
    if (best != NULL) {
        *out = *best;
        *best = (cf_workspace){0};
    }
    cf_unlock();
    return best != NULL;
}

cf_status cf_workspace_acquire(size_t bytes, cf_workspace *out) {
    if (acquire_kept(bytes, out))
        return CF_OK;
    *out = (cf_workspace){0};
    CF_TRY(cf_alloc(&out->memory, bytes, 1));
    out->bytes = bytes;
    return CF_OK;
}

/* Keeps the workspace in an empty slot or in that of a smaller one; *workspace becomes what must
 * be freed.
 */
static void keep(cf_workspace *workspace) {
    cf_workspace *smallest = &kept[0];
    for (int i = 1; i < KEPT; i++)
        if (kept[i].bytes < smallest->bytes)
            smallest = &kept[i];
    if (smallest->bytes < workspace->bytes) {
        cf_workspace replaced = *smallest;
        *smallest = *workspace;
        *workspace = replaced;
    }
}

void cf_workspace_release(cf_workspace *workspace) {
    if (workspace->memory == NULL)
        return;
    cf_lock();
    keep(workspace);
    cf_unlock();
    cf_free(workspace->memory);
    *workspace = (cf_workspace){0};
}

void cf_workspace_trim(void) {
    for (int i = 0; i < KEPT; i++) {
        cf_workspace large = {0};
        cf_lock();
        if (kept[i].bytes > SMALL) {
            large = kept[i];
            kept[i] = (cf_workspace){0};
        }
        cf_unlock();
        cf_free(large.memory);
    }
}
