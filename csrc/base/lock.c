#include "base/lock.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned forks;

void cf_lock(void) {
    pthread_mutex_lock(&mutex);
}

void cf_unlock(void) {
    pthread_mutex_unlock(&mutex);
}

unsigned cf_forks(void) {
    return forks;
}

static void unlock_in_child(void) {
    forks++;
    cf_unlock();
}

/* A thread that forks holds the lock while it does, so that no other thread is in the middle of a
 * change. This is set up when the library is loaded: at the first lock it could be too late for a
 * fork that has begun in another thread. */
__attribute__((constructor)) static void survive_forks(void) {
    pthread_atfork(cf_lock, cf_unlock, unlock_in_child);
}
