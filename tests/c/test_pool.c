/* The thread pool from C, so that it also runs under the sanitizers.
 *
 *     test_pool           everything but `starved`, then exits with workers asleep and a job under
 * way test_pool starved   jobs where no thread can be started
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/pool.h"
#include "check.h"

/* Waits until the counter has reached `value`; false after a time that no working pool needs. */
static bool reaches(atomic_int *counter, int value) {
    time_t start = time(NULL);
    while (atomic_load(counter) < value) {
        if (time(NULL) - start > 30)
            return false;
        sched_yield();
    }
    return true;
}

/* -- A job that counts -- */

enum { UNITS = 100 };

typedef struct {
    atomic_int next, done;
    atomic_int used[CF_MAX_THREADS]; /* how often each participant number came */
    int participants;
    pthread_t caller;
} counting;

static void count_units(void *context, int participant) {
    counting *job = context;
    CHECK(participant >= 0 && participant < job->participants);
    CHECK(atomic_fetch_add(&job->used[participant], 1) == 0);
    CHECK((participant == 0) == (pthread_equal(pthread_self(), job->caller) != 0));
    while (atomic_fetch_add(&job->next, 1) < UNITS)
        atomic_fetch_add(&job->done, 1);
}

static void run_counting(int participants) {
    counting job = {.caller = pthread_self()};
    job.participants = participants < CF_MAX_THREADS ? participants : CF_MAX_THREADS;
    cf_pool_run(participants, count_units, &job);
    CHECK(atomic_load(&job.done) == UNITS);
    CHECK(atomic_load(&job.used[0]) == 1);
}

static void numbers_are_unique_and_no_work_is_left(void) {
    static const int sizes[] = {1, 2, 3, 8, 2, 1, 5};
    for (int i = 0; i < 2000; i++)
        run_counting(sizes[i % 7]);
}

/* -- A job that needs help -- */

typedef struct {
    atomic_int arrived;
    int participants;
} meeting;

static void meet(void *context, int participant) {
    meeting *job = context;
    (void)participant;
    atomic_fetch_add(&job->arrived, 1);
    CHECK(reaches(&job->arrived, job->participants));
}

/* Only ends well if all participants are in the job at the same time. */
static void run_meeting(int participants) {
    meeting job = {.participants = participants};
    cf_pool_run(participants, meet, &job);
}

static void workers_help_and_the_pool_grows(void) {
    static const int sizes[] = {2, 4, 3, 8, 2, 24, 1};
    for (int i = 0; i < 7; i++)
        run_meeting(sizes[i]);
}

static void sleeping_workers_wake(void) {
    struct timespec nap = {.tv_nsec = 5000000};
    for (int i = 0; i < 20; i++) {
        nanosleep(&nap, NULL);
        run_meeting(4);
    }
}

static void more_threads_than_the_most_are_cut(void) {
    run_counting(CF_MAX_THREADS + 100);
}

/* -- Several callers -- */

static void *call_often(void *unused) {
    (void)unused;
    for (int i = 0; i < 300; i++)
        run_counting(1 + i % 4);
    return NULL;
}

static void eight_callers_at_once(void) {
    pthread_t callers[8];
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&callers[i], NULL, call_often, NULL) == 0);
    for (int i = 0; i < 8; i++)
        pthread_join(callers[i], NULL);
}

static void *meet_alone(void *job) {
    cf_pool_run(1, meet, job);
    return NULL;
}

/* Each of two callers waits within its job for the other's. */
static void jobs_of_one_run_side_by_side(void) {
    meeting both = {.participants = 2};
    pthread_t other;
    CHECK(pthread_create(&other, NULL, meet_alone, &both) == 0);
    meet_alone(&both);
    pthread_join(other, NULL);
}

typedef struct {
    atomic_int arrived, released;
    int expected;
} gate;

static void wait_at_gate(void *context, int participant) {
    gate *job = context;
    (void)participant;
    atomic_fetch_add(&job->arrived, 1);
    CHECK(reaches(&job->released, 1));
}

static void *hold_everyone(void *context) {
    gate *job = context;
    cf_pool_run(job->expected, wait_at_gate, job);
    return NULL;
}

/* A caller needs no worker; and a worker that comes free helps whoever is still at it. */
static void one_callers_job_does_not_hold_up_anothers(void) {
    gate first = {.expected = CF_MAX_THREADS};
    pthread_t other;
    CHECK(pthread_create(&other, NULL, hold_everyone, &first) == 0);
    CHECK(reaches(&first.arrived, CF_MAX_THREADS));
    run_counting(2);

    gate second = {.expected = 2};
    pthread_t late;
    CHECK(pthread_create(&late, NULL, hold_everyone, &second) == 0);
    CHECK(reaches(&second.arrived, 1));
    atomic_store(&first.released, 1);
    CHECK(reaches(&second.arrived, 2));
    atomic_store(&second.released, 1);
    pthread_join(other, NULL);
    pthread_join(late, NULL);
}

/* -- Nesting -- */

static void start_nested(void *context, int participant) {
    counting inner = {.participants = 1, .caller = pthread_self()};
    meet(context, participant);
    cf_pool_run(4, count_units, &inner);
    CHECK(atomic_load(&inner.done) == UNITS);
}

static void a_nested_job_runs_on_its_caller_alone(void) {
    for (int participants = 1; participants <= 3; participants++) {
        meeting outer = {.participants = participants};
        cf_pool_run(participants, start_nested, &outer);
    }
    run_meeting(3); /* and afterwards the caller gets help again */
}

/* -- What workers inherit -- */

static void look_around(void *context, int participant) {
    meet(context, participant);
    CHECK(fegetround() == FE_UPWARD);
    if (participant == 0)
        return;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    CHECK(sigismember(&blocked, SIGINT) == 1);
    CHECK(sigismember(&blocked, SIGTERM) == 1);
    CHECK(sigismember(&blocked, SIGSEGV) == 0);
}

static void workers_leave_signals_and_take_over_the_rounding_mode(void) {
    sigset_t before, after;
    meeting job = {.participants = 3};
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    fesetround(FE_UPWARD);
    cf_pool_run(3, look_around, &job);
    fesetround(FE_TONEAREST);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(sigismember(&before, SIGINT) == sigismember(&after, SIGINT));
}

/* -- Settings -- */

static void the_number_of_threads_can_be_set(void) {
    int before = cf_num_threads();
    CHECK(cf_processors() >= 1);
    CHECK(before >= 1 && before <= CF_MAX_THREADS);
    CHECK(cf_set_num_threads(7) == CF_OK && cf_num_threads() == 7);
    CHECK(cf_set_num_threads(0) == CF_INVALID && cf_num_threads() == 7);
    CHECK(strstr(cf_message(), "between 1 and 256, got 0") != NULL);
    CHECK(cf_set_num_threads(-3) == CF_INVALID);
    CHECK(cf_set_num_threads(CF_MAX_THREADS + 1) == CF_INVALID);
    CHECK(cf_set_num_threads(CF_MAX_THREADS) == CF_OK && cf_num_threads() == CF_MAX_THREADS);
    cf_set_num_threads(before);
}

/* -- Fork -- */

static atomic_int stop;

static void *call_until_stopped(void *unused) {
    (void)unused;
    while (!atomic_load(&stop))
        run_counting(4);
    return NULL;
}

/* The child has lost all workers, perhaps while one held the lock; its jobs must get help all the
 * same. */
static void a_child_forked_from_a_busy_process_rebuilds_the_pool(void) {
    pthread_t busy[2];
    atomic_store(&stop, 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&busy[i], NULL, call_until_stopped, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        run_meeting(3);
        pid_t child = fork();
        if (child == 0) {
            run_counting(1);
            run_meeting(4);
            run_counting(3);
            _exit(0);
        }
        int status = -1;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(busy[i], NULL);
    run_meeting(4);
}

/* -- Starvation and exit -- */

static void threads_that_cannot_be_started_are_done_without(void) {
    struct rlimit none = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
    static counting job = {.participants = 4};
    job.caller = pthread_self();
    setrlimit(RLIMIT_AS, &none);
    cf_pool_run(4, count_units, &job);
    none.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_AS, &none);
    CHECK(atomic_load(&job.done) == UNITS);
#ifdef __linux__
    CHECK(atomic_load(&job.used[1]) + atomic_load(&job.used[2]) + atomic_load(&job.used[3]) == 0);
#endif
    run_meeting(4); /* and once they can, they are */
}

static void leave_a_job_under_way(void) {
    static gate job = {.expected = 3};
    pthread_t other;
    CHECK(pthread_create(&other, NULL, hold_everyone, &job) == 0);
    pthread_detach(other);
    CHECK(reaches(&job.arrived, 3));
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "starved") == 0) {
        threads_that_cannot_be_started_are_done_without();
        return 0;
    }
    workers_leave_signals_and_take_over_the_rounding_mode(); /* first, so that it starts workers */
    numbers_are_unique_and_no_work_is_left();
    workers_help_and_the_pool_grows();
    sleeping_workers_wake();
    eight_callers_at_once();
    jobs_of_one_run_side_by_side();
    a_nested_job_runs_on_its_caller_alone();
    the_number_of_threads_can_be_set();
    a_child_forked_from_a_busy_process_rebuilds_the_pool();
    more_threads_than_the_most_are_cut();
    one_callers_job_does_not_hold_up_anothers();
    leave_a_job_under_way();
    return 0;
}
