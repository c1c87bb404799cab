/* Who computes with a model: any number of callers, or one who has locked it. */
#include "base/lock.h"
#include "engine/workspace.h"
#include "model/state.h"

cf_status cf_model_fail_busy(void) {
    return cf_fail(CF_BUSY,
                   "the flow is being fitted: wait until fit returns, or close its Trainer");
}

/* Under the lock. The callers of a process that has forked do not exist in its child. */
static void forget_vanished_callers(cf_model *model) {
    if (model->forks != cf_forks())
        model->callers = 0;
    model->forks = cf_forks();
}

cf_status cf_model_enter(cf_model *model) {
    cf_lock();
    forget_vanished_callers(model);
    bool busy = model->locked;
    model->callers += !busy;
    cf_unlock();
    return busy ? cf_model_fail_busy() : CF_OK;
}

void cf_model_leave(cf_model *model) {
    cf_lock();
    model->callers--;
    cf_unlock();
}

cf_status cf_model_lock(cf_model *model) {
    cf_lock();
    forget_vanished_callers(model);
    bool trained = model->locked, computing = model->callers > 0;
    model->locked = trained || !computing;
    cf_unlock();
    if (trained)
        return cf_model_fail_busy();
    return computing ? cf_fail(CF_BUSY, "the flow is in use by another thread") : CF_OK;
}

void cf_model_set_changing(cf_model *model, bool changing) {
    cf_lock();
    model->changing = changing;
    cf_unlock();
}

void cf_model_unlock(cf_model *model) {
    cf_lock();
    model->locked = false;
    cf_unlock();
}
