/* The project's thread pool.
 *
 * A job is a function run once by each of several participants; the function itself takes work
 * units from an atomic counter of its caller's until none is left. The calling thread always takes
 * part, so a job makes progress even when every worker is busy with another caller's job, and a job
 * of one participant never wakes a worker.
 */
#ifndef CF_BASE_POOL_H
#define CF_BASE_POOL_H

#include "base/status.h"

#define CF_MAX_THREADS 256

/* Number of threads a job may use, the caller included: the last cf_set_num_threads, else
 * CFLOWS_NUM_THREADS, else the number of processors this process may run on. */
int cf_num_threads(void);

/* CF_INVALID unless 1 <= threads <= CF_MAX_THREADS. Takes effect for jobs that start later. */
cf_status cf_set_num_threads(int threads);

/* Runs work(context, participant) on at most `participants` threads, with participant numbers 0
 * (the caller) to participants - 1, each used at most once; returns when every participant that
 * started has returned. Participants other than 0 may never start: the function must leave no work
 * undone when it returns. Safe from several threads at once, from within a fork()ed child, and
 * nested (a nested job runs on the caller alone). CF_NO_MEMORY never happens: where threads cannot
 * be started, fewer take part. */
void cf_pool_run(int participants, void (*work)(void *context, int participant), void *context);

#endif
