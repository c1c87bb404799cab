/* Working memory, leased for one run and kept for the next: callers neither share it nor allocate
 * while running. */
#ifndef CF_ENGINE_LEASE_H
#define CF_ENGINE_LEASE_H

#include <stddef.h>

#include "base/status.h"

typedef struct {
    char *memory;
    size_t bytes;
} cf_lease;

/* A lease of at least `bytes`, whatever was left in it. */
cf_status cf_lease_take(size_t bytes, cf_lease *out);

/* Gives the lease back; an empty one is accepted. */
void cf_lease_give(cf_lease *lease);

/* Frees what is kept for further runs, unless it is small. */
void cf_lease_trim(void);

#endif
