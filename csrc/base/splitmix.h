/* Numbers that look random but are always the same, where no seed is to matter: splitmix64 (Steele,
 * Lea and Flood 2014). */
#ifndef CF_BASE_SPLITMIX_H
#define CF_BASE_SPLITMIX_H

#include <stdint.h>

/* The next 64 bits. */
static inline uint64_t cf_splitmix64(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#endif
