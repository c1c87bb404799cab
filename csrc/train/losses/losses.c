#include "train/losses/losses.h"

#include <stdio.h>
#include <string.h>

/* All losses: LOSS(name) each, which is all that the library is told of a new one. */
#define CF_LOSSES(LOSS) LOSS(likelihood) LOSS(flow_matching)

#define CF_DECLARED(name) extern const cf_loss cf_##name##_loss;
CF_LOSSES(CF_DECLARED)

#define CF_LISTED(name) &cf_##name##_loss,
const cf_loss *const cf_losses[] = {CF_LOSSES(CF_LISTED) NULL};

bool cf_loss_has_penalty(const cf_function *loss) {
    const cf_port *penalty = &loss->output[1];
    return cf_port_count(loss->output) == 2 && strcmp(penalty->name, "penalty") == 0 &&
           cf_shape_features(penalty->shape) == 1;
}

void cf_call_set_penalty(cf_function_call *call, void *penalties, const double *cotangents) {
    if (!cf_loss_has_penalty(call->function))
        return;
    cf_call_set_output(call, "penalty", (cf_result){penalties, 1});
    cf_call_set_cotangent(call, "penalty", cf_double_rows(cotangents, 1));
}

/* Whether a function has one output, loss, a number a sample, beside a penalty at most, and an
 * input x. */
static bool is_loss(const cf_function *f) {
    const cf_port *loss = &f->output[0];
    return (cf_port_count(f->output) == 1 || cf_loss_has_penalty(f)) &&
           strcmp(loss->name, "loss") == 0 && cf_shape_features(loss->shape) == 1 &&
           cf_is_port(cf_function_input_port(f, "x"));
}

/* The data initialise the flow's layers, so that a loss of a flow reads what the flow does. */
static cf_status check_sizes(const cf_function *loss, const cf_flow *flow) {
    size_t x = cf_function_input_features(loss, "x");
    size_t context = cf_function_input_features(loss, "context");
    if (x != cf_flow_features(flow))
        return cf_fail(CF_INVALID, "the loss '%s' reads x of %zu features, but the flow has %zu",
                       loss->name, x, cf_flow_features(flow));
    if (context > 0 && cf_flow_context_features(flow) > 0 &&
        context != cf_flow_context_features(flow))
        return cf_fail(CF_INVALID,
                       "the loss '%s' reads a context of %zu features, but the flow one of %zu",
                       loss->name, context, cf_flow_context_features(flow));
    return CF_OK;
}

/* There is no loss of that name; of a flow the message has the names that the library knows. */
static cf_status fail_unknown(const char *name, const cf_flow *flow) {
    char known[256] = "";
    size_t length = 0;
    for (size_t i = 0; flow != NULL && cf_losses[i] != NULL && length < sizeof known; i++)
        length += (size_t)snprintf(known + length, sizeof known - length, "%s'%s'",
                                   i == 0 ? "; the library has " : ", ", cf_losses[i]->name);
    return cf_fail(CF_INVALID, "there is no loss called '%s'%s", name, known);
}

cf_status cf_find_loss(const cf_model *model, const cf_flow *flow, const char *name,
                       const cf_function **out) {
    *out = cf_model_function(model, name);
    for (size_t i = 0; *out == NULL && flow != NULL && cf_losses[i] != NULL; i++) {
        if (strcmp(cf_losses[i]->name, name) != 0)
            continue;
        if (cf_losses[i]->check != NULL)
            CF_TRY(cf_losses[i]->check(flow));
        cf_status status = cf_losses[i]->add(flow);
        *out = cf_model_function(model, name); /* which another thread may have added */
        if (*out == NULL)
            return status;
    }
    if (*out == NULL || !is_loss(*out))
        return fail_unknown(name, flow);
    return flow != NULL ? check_sizes(*out, flow) : CF_OK;
}

double cf_mean_loss(const double *cotangents, const void *losses, size_t rows, cf_dtype dtype) {
    double sum = 0.0;
    for (size_t i = 0; i < rows; i++)
        sum += cotangents[i] * cf_number_at(losses, i, dtype);
    return sum;
}

cf_status cf_add_losses(const cf_flow *flow) {
    const cf_function *found;
    for (size_t i = 0; cf_losses[i] != NULL; i++)
        if (cf_losses[i]->check == NULL || cf_losses[i]->check(flow) == CF_OK)
            CF_TRY(cf_find_loss(flow->model, flow, cf_losses[i]->name, &found));
    return CF_OK;
}
