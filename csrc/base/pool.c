/* How it works.
 *
 * A job that wants help takes one of a few static slots and offers `seats`. Idle workers look
 * through the slots and take seats; a worker that returns from one job looks for the next, so that
 * workers serve whichever callers there are. When the caller's own part is done it withdraws the
 * seats that nobody took, and waits for those who took one. A slot outlives its job, so a worker
 * that looks late, or at the slot's next job, does no harm.
 *
 * Workers and callers that wait first spin for a moment, since in training the next job is a few
 * microseconds away, then sleep. Sleeping follows one pattern: a thread that waits counts itself
 * among the sleepers and then looks once more; a thread that signals publishes first and then looks
 * for sleepers. Both are sequentially consistent, so one of the two sees the other, and the lock is
 * not touched while no thread sleeps.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* signals and clocks, beside C11 */
#endif
#include "base/pool.h"

#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
    JOBS = 16, /* jobs with help at once; further callers work alone */
    SPIN_NANOSECONDS = 50000,
    POLLS_PER_YIELD = 32,
    STACK_BYTES = 1 << 20,
};

typedef struct {
    alignas(64) atomic_bool taken; /* a caller uses the slot */
    atomic_int seats;              /* participants that may still join */
    atomic_int finished;           /* participants that joined and have returned */
    /* Written by the caller while there are no seats, read by those who took one. */
    int participants;
    void (*work)(void *context, int participant);
    void *context;
    fenv_t environment;
} cf_job;

static cf_job jobs[JOBS];

/* Jobs so far, by which workers see that there is a new one; alone in its cache line, since they
 * poll it. */
static alignas(64) atomic_uint posted;

/* Workers that don't sleep, and callers of jobs with help. */
static alignas(64) atomic_int awake;

static atomic_int workers; /* grows under the lock */
static atomic_int sleeping_workers, sleeping_callers;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t job_posted = PTHREAD_COND_INITIALIZER;
static pthread_cond_t participant_finished = PTHREAD_COND_INITIALIZER;

static _Thread_local bool in_job;

/* -- Waiting -- */

typedef struct {
    int polls;
    int64_t deadline;
} cf_spin;

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Whether to look again before going to sleep. Never if threads outnumber processors, as then the
 * thread that is waited for may be waiting for this one's processor. */
static bool spin(cf_spin *state) {
    if (atomic_load_explicit(&awake, memory_order_relaxed) > cf_processors())
        return false;
    if (state->polls == 0)
        state->deadline = nanoseconds() + SPIN_NANOSECONDS;
    for (int i = 0; i < 4; i++)
        relax();
    if (++state->polls % POLLS_PER_YIELD == 0)
        sched_yield();
    return nanoseconds() < state->deadline;
}

/* Returns once more than `seen` jobs have been posted. */
static void await_job(unsigned seen) {
    cf_spin state = {0};
    do {
        if (atomic_load(&posted) != seen)
            return;
    } while (spin(&state));

    pthread_mutex_lock(&lock);
    atomic_fetch_sub(&awake, 1);
    atomic_fetch_add(&sleeping_workers, 1);
    while (atomic_load(&posted) == seen)
        pthread_cond_wait(&job_posted, &lock);
    atomic_fetch_sub(&sleeping_workers, 1);
    atomic_fetch_add(&awake, 1);
    pthread_mutex_unlock(&lock);
}

/* Returns when all who joined the job have returned from it. */
static void await_participants(cf_job *job, int joined) {
    cf_spin state = {0};
    do {
        if (atomic_load(&job->finished) == joined)
            return;
    } while (spin(&state));

    pthread_mutex_lock(&lock);
    atomic_fetch_sub(&awake, 1);
    atomic_fetch_add(&sleeping_callers, 1);
    while (atomic_load(&job->finished) != joined)
        pthread_cond_wait(&participant_finished, &lock);
    atomic_fetch_sub(&sleeping_callers, 1);
    atomic_fetch_add(&awake, 1);
    pthread_mutex_unlock(&lock);
}

/* -- Workers -- */

static void take_part(cf_job *job, int participant) {
    fesetenv(&job->environment);
    job->work(job->context, participant);
    atomic_fetch_add(&job->finished, 1);
    /* From here on the slot may be another job's. */
    if (atomic_load(&sleeping_callers) == 0)
        return;
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&participant_finished);
    pthread_mutex_unlock(&lock);
}

/* Takes a seat in some job, if there is one, and does its part. */
static bool join_a_job(void) {
    for (int i = 0; i < JOBS; i++) {
        cf_job *job = &jobs[i];
        int seats = atomic_load(&job->seats);
        while (seats > 0)
            if (atomic_compare_exchange_weak(&job->seats, &seats, seats - 1)) {
                take_part(job, job->participants - seats);
                return true;
            }
    }
    return false;
}

static void *worker(void *unused) {
    (void)unused;
    in_job = true;
    for (;;) {
        unsigned seen = atomic_load(&posted);
        if (!join_a_job())
            await_job(seen);
    }
    return NULL;
}

/* Signals are for the program's own threads (Ctrl-C must reach the main thread), except those that
 * a thread causes itself, which a handler must see to report them. */
static void fill_worker_signals(sigset_t *blocked) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigfillset(blocked);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(blocked, own[i]);
}

/* Detached: at exit sleeping workers end with the process, and nothing that they use is ever torn
 * down. */
static bool start_worker(void) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t blocked, before;
    fill_worker_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    pthread_t thread;
    atomic_fetch_add(&awake, 1);
    bool started = pthread_create(&thread, &attributes, worker, NULL) == 0;
    if (!started)
        atomic_fetch_sub(&awake, 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

/* A forked child has one thread, whatever the others were doing: it starts with an empty pool. */
static void reset_in_child(void) {
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&job_posted, NULL);
    pthread_cond_init(&participant_finished, NULL);
    for (int i = 0; i < JOBS; i++) {
        atomic_store(&jobs[i].seats, 0);
        atomic_store(&jobs[i].taken, false);
    }
    atomic_store(&workers, 0);
    atomic_store(&awake, 0);
    atomic_store(&sleeping_workers, 0);
    atomic_store(&sleeping_callers, 0);
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, reset_in_child);
}

/* Starts workers until there are `count`, or as many as can be had. */
static void grow(int count) {
    static pthread_once_t watched = PTHREAD_ONCE_INIT;
    if (atomic_load(&workers) >= count)
        return;
    pthread_once(&watched, watch_forks);
    pthread_mutex_lock(&lock);
    while (atomic_load(&workers) < count && start_worker())
        atomic_fetch_add(&workers, 1);
    pthread_mutex_unlock(&lock);
}

/* -- Callers -- */

static cf_job *acquire_slot(void) {
    for (int i = 0; i < JOBS; i++)
        if (!atomic_load(&jobs[i].taken) && !atomic_exchange(&jobs[i].taken, true))
            return &jobs[i];
    return NULL;
}

static void wake_workers(int count) {
    int sleeping = atomic_load(&sleeping_workers);
    if (sleeping == 0)
        return;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count && i < sleeping; i++)
        pthread_cond_signal(&job_posted);
    pthread_mutex_unlock(&lock);
}

/* Offers the job to workers; NULL if no help can be had. */
static cf_job *post(int participants, void (*work)(void *context, int participant), void *context) {
    if (participants > CF_MAX_THREADS)
        participants = CF_MAX_THREADS;
    grow(participants - 1);
    cf_job *job = acquire_slot();
    if (job == NULL)
        return NULL;
    job->participants = participants;
    job->work = work;
    job->context = context;
    fegetenv(&job->environment);
    atomic_store(&job->finished, 0);
    atomic_fetch_add(&awake, 1);
    atomic_store(&job->seats, participants - 1);
    atomic_fetch_add(&posted, 1);
    wake_workers(participants - 1);
    return job;
}

/* Lets nobody else join and waits for those who did. */
static void finish(cf_job *job) {
    int vacant = atomic_exchange(&job->seats, 0);
    await_participants(job, job->participants - 1 - vacant);
    atomic_fetch_sub(&awake, 1);
    atomic_store(&job->taken, false);
}

void cf_pool_run(int participants, void (*work)(void *context, int participant), void *context) {
    bool nested = in_job;
    cf_job *job = participants > 1 && !nested ? post(participants, work, context) : NULL;
    in_job = true;
    work(context, 0);
    in_job = nested;
    if (job != NULL)
        finish(job);
}
