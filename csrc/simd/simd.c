#include "simd/simd.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"base", "avx2", "avx512"};

const char *cf_simd_name(cf_simd_level level) {
    return names[level];
}

/* The best level of the processor; the compiler's run-time library asks the operating system too
 * whether it saves the wide registers. */
static cf_simd_level detect(void) {
#ifdef CF_SIMD_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return CF_SIMD_BASE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return CF_SIMD_AVX2;
    return CF_SIMD_AVX512;
#else
    return CF_SIMD_BASE;
#endif
}

/* *level = what CFLOWS_SIMD asks for, else the best. A request that cannot be met is an error, and
 * gives the best. */
static cf_status choose(cf_simd_level *level) {
    const char *wanted = getenv("CFLOWS_SIMD");
    cf_simd_level best = detect();
    *level = best;
    if (wanted == NULL || *wanted == '\0')
        return CF_OK;
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(wanted, names[i]) != 0)
            continue;
        if (i > (int)best)
            return cf_fail(CF_INVALID, "CFLOWS_SIMD=%s: this machine has %s at best", wanted,
                           names[best]);
        *level = (cf_simd_level)i;
        return CF_OK;
    }
    return cf_fail(CF_INVALID, "CFLOWS_SIMD must be base, avx2 or avx512, not \"%s\"", wanted);
}

cf_simd_level cf_simd(void) {
    enum { UNKNOWN = -1 };
    static atomic_int fixed = UNKNOWN;
    int level = atomic_load_explicit(&fixed, memory_order_relaxed);
    if (level == UNKNOWN) {
        cf_simd_level chosen;
        (void)choose(&chosen);
        int expected = UNKNOWN;
        /* Another thread may have been first; its choice stands. */
        level =
            atomic_compare_exchange_strong(&fixed, &expected, (int)chosen) ? (int)chosen : expected;
    }
    return (cf_simd_level)level;
}

cf_status cf_simd_check(void) {
    cf_simd_level level;
    return choose(&level);
}
