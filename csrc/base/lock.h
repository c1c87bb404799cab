/* The core's one lock: for bookkeeping that takes well below a microsecond (workspaces, programs in
 * use), never held while computing. A child of fork() finds it free and what it guards whole. */
#ifndef CF_BASE_LOCK_H
#define CF_BASE_LOCK_H

void cf_lock(void);
void cf_unlock(void);

/* How many forks lie between the first process and this one: when the number changes, the threads
 * of before are gone and what they were doing is not going to end. Read it under the lock. */
unsigned cf_forks(void);

#endif
