/* Who computes with a flow: any number of callers, or one who holds it. */
#include "base/lock.h"
#include "engine/lease.h"
#include "flow/state.h"

cf_status cf_flow_fail_busy(void) {
    return cf_fail(CF_BUSY, "the flow is being fitted: wait until fit returns");
}

/* Under the lock. The callers of a process that forked are not in its child. */
static void forget_vanished_callers(cf_flow *flow) {
    if (flow->forks != cf_forks())
        flow->callers = 0;
    flow->forks = cf_forks();
}

cf_status cf_flow_enter(cf_flow *flow) {
    cf_lock();
    forget_vanished_callers(flow);
    bool busy = flow->held;
    flow->callers += !busy;
    cf_unlock();
    return busy ? cf_flow_fail_busy() : CF_OK;
}

void cf_flow_leave(cf_flow *flow) {
    cf_lock();
    flow->callers--;
    cf_unlock();
}

cf_status cf_flow_lock(cf_flow *flow) {
    cf_lock();
    forget_vanished_callers(flow);
    bool fitted = flow->held, computing = flow->callers > 0;
    flow->held = fitted || !computing;
    cf_unlock();
    if (fitted)
        return cf_flow_fail_busy();
    return computing ? cf_fail(CF_BUSY, "the flow is in use by another thread") : CF_OK;
}

void cf_flow_set_changing(cf_flow *flow, bool changing) {
    cf_lock();
    flow->changing = changing;
    cf_unlock();
}

void cf_flow_unlock(cf_flow *flow) {
    cf_lock();
    flow->held = false;
    cf_unlock();
}
