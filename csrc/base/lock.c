#include "base/lock.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Whoever forks holds the lock meanwhile, so that no other thread is in the middle of something. */
static void survive_fork(void) {
    pthread_atfork(cf_lock, cf_unlock, cf_unlock);
}

void cf_lock(void) {
    pthread_once(&once, survive_fork);
    pthread_mutex_lock(&mutex);
}

void cf_unlock(void) {
    pthread_mutex_unlock(&mutex);
}
