/* The core's one lock: for bookkeeping that takes well below a microsecond (workspaces, programs in
 * use), never held while computing. A child of fork() finds the lock free and what it guards
 * consistent. */
#ifndef CF_BASE_LOCK_H
#define CF_BASE_LOCK_H

void cf_lock(void);
void cf_unlock(void);

/* How many forks lie between the first process and this one. When the number changes, the threads
 * from before are gone and their work will never finish. Read it under the lock. */
unsigned cf_forks(void);

#endif
