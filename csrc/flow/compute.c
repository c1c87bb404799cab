/* What a flow computes: the program that gives what a call wants is taken and run. */
#include "flow/state.h"

cf_status cf_flow_run(cf_flow *flow, const cf_flow_call *call, cf_objective objective) {
    cf_cached *entry;
    cf_run_args args = {.rows = call->rows,
                        .dtype = flow->dtype,
                        .threads = call->threads,
                        .seed = call->seed,
                        .first_row = call->first_row,
                        .parameters = flow->parameters,
                        .gradients = call->gradients ? call->gradients : flow->gradients,
                        .buffers = flow->buffers,
                        .jitter = call->jitter};
    args.input[CF_IN_X] = call->x;
    args.input[CF_IN_CONTEXT] = call->context;
    args.input[CF_IN_DVALUE] = call->dvalue;
    args.input[CF_IN_DLOG_DET] = call->dlog_det;
    args.output[CF_OUT_VALUE] = call->value;
    args.output[CF_OUT_LOG_DET] = call->log_det;
    args.output[CF_OUT_DX] = call->dx;
    args.output[CF_OUT_DCONTEXT] = call->dcontext;
    CF_TRY(cf_cache_take(&flow->cache, &objective, &flow->body, &flow->binding.parameters, &entry));
    cf_status status = cf_run(cf_cached_program(entry), &args);
    cf_cache_give(entry);
    return status;
}

/* The objective that the wanted results of a call make of a map. */
static cf_objective objective_of(cf_map map, const cf_flow_call *call) {
    return (cf_objective){.map = map,
                          .mode = call->mode,
                          .means = call->means,
                          .value = call->value.data != NULL,
                          .log_det = call->log_det.data != NULL,
                          .jitter = call->jitter != NULL};
}

static cf_objective vjp_objective_of(cf_map map, const cf_flow_call *call) {
    cf_objective objective = objective_of(map, call);
    objective.dvalue = call->dvalue.data != NULL;
    objective.dlog_det = call->dlog_det.data != NULL;
    objective.dx = call->dx.data != NULL;
    objective.dcontext = call->dcontext.data != NULL;
    objective.gradients = call->want_gradients;
    return objective;
}

static cf_status run_as_caller(cf_flow *flow, const cf_flow_call *call, cf_objective objective) {
    CF_TRY(cf_flow_enter(flow));
    cf_status status = cf_flow_run(flow, call, objective);
    cf_flow_leave(flow);
    return status;
}

cf_status cf_flow_inverse(cf_flow *flow, const cf_flow_call *call) {
    return run_as_caller(flow, call, objective_of(CF_MAP_INVERSE, call));
}

cf_status cf_flow_forward(cf_flow *flow, const cf_flow_call *call) {
    return run_as_caller(flow, call, objective_of(CF_MAP_FORWARD, call));
}

cf_status cf_flow_log_prob_held(cf_flow *flow, const cf_flow_call *call) {
    cf_objective objective = objective_of(CF_MAP_LOG_PROB, call);
    objective.score = call->dx.data != NULL;
    return cf_flow_run(flow, call, objective);
}

cf_status cf_flow_log_prob(cf_flow *flow, const cf_flow_call *call) {
    CF_TRY(cf_flow_enter(flow));
    cf_status status = cf_flow_log_prob_held(flow, call);
    cf_flow_leave(flow);
    return status;
}

cf_status cf_flow_check_density(const cf_flow *flow) {
    if (cf_layer_is_stochastic(&flow->body.chain))
        return cf_fail(CF_INVALID, "samples of a flow with a stochastic layer come without their "
                                   "density: draw them, then ask for log_prob, which bounds it");
    return CF_OK;
}

cf_status cf_flow_sample(cf_flow *flow, const cf_flow_call *call) {
    if (call->log_det.data != NULL)
        CF_TRY(cf_flow_check_density(flow));
    return run_as_caller(flow, call, objective_of(CF_MAP_SAMPLE, call));
}

cf_status cf_flow_sample_held(cf_flow *flow, const cf_flow_call *call) {
    return cf_flow_run(flow, call, objective_of(CF_MAP_SAMPLE, call));
}

cf_status cf_flow_sample_vjp_held(cf_flow *flow, const cf_flow_call *call) {
    return cf_flow_run(flow, call, vjp_objective_of(CF_MAP_SAMPLE, call));
}

cf_status cf_flow_log_prob_vjp_held(cf_flow *flow, const cf_flow_call *call) {
    return cf_flow_run(flow, call, vjp_objective_of(CF_MAP_LOG_PROB, call));
}

cf_status cf_flow_log_prob_vjp(cf_flow *flow, const cf_flow_call *call) {
    return run_as_caller(flow, call, vjp_objective_of(CF_MAP_LOG_PROB, call));
}

cf_status cf_flow_inverse_vjp(cf_flow *flow, const cf_flow_call *call) {
    return run_as_caller(flow, call, vjp_objective_of(CF_MAP_INVERSE, call));
}

cf_status cf_flow_forward_vjp(cf_flow *flow, const cf_flow_call *call) {
    return run_as_caller(flow, call, vjp_objective_of(CF_MAP_FORWARD, call));
}
