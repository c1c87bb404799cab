#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "base/pool.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static const char variable[] = "CFLOWS_NUM_THREADS";

/* What cf_set_num_threads asked for, or what was found at the first call of cf_num_threads; 0
 * before either. */
static atomic_int threads_wanted;

static long processors(void) {
#ifdef __linux__
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        return CPU_COUNT(&allowed);
#endif
    return sysconf(_SC_NPROCESSORS_ONLN);
}

int cf_processors(void) {
    static atomic_int found;
    int count = atomic_load_explicit(&found, memory_order_relaxed);
    if (count == 0) {
        long n = processors();
        count = n < 1 ? 1 : n > CF_MAX_THREADS ? CF_MAX_THREADS : (int)n;
        atomic_store_explicit(&found, count, memory_order_relaxed);
    }
    return count;
}

static bool in_range(long threads) {
    return threads >= 1 && threads <= CF_MAX_THREADS;
}

/* The environment's number of threads: 0 if it names none, -1 if what it says is wrong. */
static int environment_threads(void) {
    const char *text = getenv(variable);
    if (text == NULL || *text == '\0')
        return 0;
    char *end;
    errno = 0;
    long threads = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && in_range(threads) ? (int)threads : -1;
}

int cf_num_threads(void) {
    int threads = atomic_load_explicit(&threads_wanted, memory_order_relaxed);
    if (threads > 0)
        return threads;
    int found = environment_threads();
    if (found <= 0)
        found = cf_processors();
    /* Unless another thread has meanwhile set a number, which then holds. */
    return atomic_compare_exchange_strong(&threads_wanted, &threads, found) ? found : threads;
}

cf_status cf_set_num_threads(int threads) {
    if (!in_range(threads))
        return cf_fail(CF_INVALID, "the number of threads must be between 1 and %d, got %d",
                       CF_MAX_THREADS, threads);
    atomic_store_explicit(&threads_wanted, threads, memory_order_relaxed);
    return CF_OK;
}

cf_status cf_threads_check(void) {
    if (environment_threads() >= 0)
        return CF_OK;
    return cf_fail(CF_INVALID, "%s must be a number between 1 and %d, got '%s'", variable,
                   CF_MAX_THREADS, getenv(variable));
}
