/* Working memory, acquired for one run and kept for the next: callers neither share it nor allocate
 * while running. */
#ifndef CF_ENGINE_WORKSPACE_H
#define CF_ENGINE_WORKSPACE_H

#include <stddef.h>

#include "base/status.h"

typedef struct {
    char *memory;
    size_t bytes;
} cf_workspace;

/* A workspace of at least `bytes`, whatever was left in it. */
cf_status cf_workspace_acquire(size_t bytes, cf_workspace *out);

/* Gives the workspace back; an empty one is accepted. */
void cf_workspace_release(cf_workspace *workspace);

/* Frees what is kept for further runs, unless it is small. */
void cf_workspace_trim(void);

#endif
