/* The fused-multiply-add peak of this machine, in GFLOP/s.
 *
 *     peak THREADS SECONDS   ->   "avx512 float32 233.1 float64 116.6"
 *
 * Twelve independent chains of  a = a * x + y  hide the latency of the multiply-add units of the
 * processors of the last decade (4 cycles on two ports need eight) and still fit into sixteen
 * registers. The widest instruction set is chosen at run time, so plain compiler flags do. A thread
 * counts its own operations over its own window; the windows start together and the rates add up.
 * On x86-64 without FMA the same chains run as a multiplication and an addition.
 */
#define _POSIX_C_SOURCE 200112L
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CHAINS = 12, TURNS = 20000, MAX_THREADS = 1024 };

#if defined(__x86_64__)
#define BASE base
#else
#define BASE neon
#endif

#define JOIN_(a, b, c) a##_##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)

#define SIMD BASE
#define VECTOR_BYTES 16
#define TARGET
#include "peak_dtypes.h"

#if defined(__x86_64__)
#define SIMD avx2
#define VECTOR_BYTES 32
#define TARGET __attribute__((target("avx2,fma")))
#include "peak_dtypes.h"

#define SIMD avx512
#define VECTOR_BYTES 64
#define TARGET __attribute__((target("avx512f,fma")))
#include "peak_dtypes.h"
#endif

/* Runs TURNS turns of every chain and returns the number of floating-point operations. */
typedef double (*chains_fn)(void);

typedef struct {
    const char *name;
    chains_fn float32, float64;
} simd_level;

static simd_level widest(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return (simd_level){"avx512", chains_avx512_float, chains_avx512_double};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (simd_level){"avx2", chains_avx2_float, chains_avx2_double};
    return (simd_level){"base", chains_base_float, chains_base_double};
#else
    return (simd_level){"neon", chains_neon_float, chains_neon_double};
#endif
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static atomic_int waiting;

typedef struct {
    pthread_t thread;
    chains_fn chains;
    double seconds, flops_per_second;
} job;

static void *run(void *argument) {
    job *j = argument;
    j->chains(); /* wakes the wide units up */
    atomic_fetch_sub(&waiting, 1);
    while (atomic_load(&waiting) > 0) {
    }
    double flops = 0, start = now(), elapsed;
    do {
        flops += j->chains();
        elapsed = now() - start;
    } while (elapsed < j->seconds);
    j->flops_per_second = flops / elapsed;
    return NULL;
}

/* Returns the GFLOP/s of `threads` threads together, or a negative number when one can't start. */
static double measure(chains_fn chains, int threads, double seconds) {
    static job jobs[MAX_THREADS];
    double total = 0;
    atomic_store(&waiting, threads);
    for (int i = 0; i < threads; i++) {
        jobs[i] = (job){.chains = chains, .seconds = seconds};
        if (pthread_create(&jobs[i].thread, NULL, run, &jobs[i]) != 0)
            return -1;
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(jobs[i].thread, NULL);
        total += jobs[i].flops_per_second;
    }
    return 1e-9 * total;
}

int main(int argc, char **argv) {
    int threads = argc == 3 ? atoi(argv[1]) : 0;
    double seconds = argc == 3 ? atof(argv[2]) : 0;
    if (threads < 1 || threads > MAX_THREADS || !(seconds > 0)) {
        fprintf(stderr, "usage: peak THREADS SECONDS\n");
        return 2;
    }
    simd_level level = widest();
    double float32 = measure(level.float32, threads, seconds);
    double float64 = measure(level.float64, threads, seconds);
    if (float32 < 0 || float64 < 0) {
        fprintf(stderr, "peak: a thread did not start\n");
        return 1;
    }
    printf("%s float32 %.2f float64 %.2f\n", level.name, float32, float64);
    return 0;
}
