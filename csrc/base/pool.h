/* The project's thread pool.
 *
 * A job is a function run once by each of several participants; the function itself takes work
 * units from an atomic counter of its caller's until none is left. The calling thread always takes
 * part, so a job makes progress even when every worker is busy with another caller's job, and a job
 * of one participant never wakes a worker, nor takes a lock, nor writes anything that threads
 * share.
 */
#ifndef CF_BASE_POOL_H
#define CF_BASE_POOL_H

#include "base/status.h"

#define CF_MAX_THREADS 256

/* How many threads a job may use is asked and set by the functions in cflows.h. */

/* Number of processors that the calling thread could run on at the first call, at most
 * CF_MAX_THREADS. */
int cf_processors(void);

/* Runs work(context, participant) on at most `participants` threads, with participant numbers 0
 * (the caller) to participants - 1, each used at most once; returns when every participant that
 * started has returned. Participants other than 0 may never start: the function must leave no work
 * undone when it returns. Workers compute in the caller's floating-point environment. Safe from
 * several threads at once, from within a fork()ed child, and nested (a nested job runs on the
 * caller alone). The work function itself must not fork. It cannot fail: where threads cannot be
 * started, fewer take part. */
void cf_pool_run(int participants, void (*work)(void *context, int participant), void *context);

#endif
