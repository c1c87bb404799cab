/* What a flow holds, for the files of this folder alone. */
#ifndef CF_FLOW_STATE_H
#define CF_FLOW_STATE_H

#include "flow/cache.h"
#include "flow/flow.h"

struct cf_flow {
    cf_pile pile;
    cf_binding binding;
    cf_flow_body body;
    cf_shape base_shape;
    cf_dtype dtype;
    void *parameters, *gradients;
    double *buffers;
    cf_cache cache;
    /* Who computes: guarded by cf_lock. */
    size_t callers;
    unsigned forks; /* cf_forks() when they entered */
    bool held, changing;
};

/* A computation of one caller begins, unless the flow is held (CF_BUSY), and ends. */
cf_status cf_flow_enter(cf_flow *flow);
void cf_flow_leave(cf_flow *flow);

/* Runs the program of an objective, for whoever has entered or holds the flow. */
cf_status cf_flow_run(cf_flow *flow, const cf_flow_call *call, cf_objective objective);

void cf_flow_set_parameter(cf_flow *flow, size_t index, double value);

/* The message of CF_BUSY. */
cf_status cf_flow_fail_busy(void);

#endif
