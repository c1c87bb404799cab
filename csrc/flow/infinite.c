/* Densities at infinity: what a network makes of infinite numbers is NaN, but the density there
 * is 0. */
#include <math.h>

#include "flow/flow.h"

/* Whether the point holds an infinite number and no NaN. */
static bool is_infinite(const cf_array *array, size_t sample, size_t features) {
    bool infinite = false;
    for (size_t f = 0; f < features; f++) {
        double number = cf_array_number(array, sample, f);
        if (isnan(number))
            return false;
        infinite = infinite || isinf(number);
    }
    return infinite;
}

static double get(const cf_result *result, size_t i, cf_dtype dtype) {
    return cf_number_at(result->data, i, result->as_double ? CF_FLOAT64 : dtype);
}

static void set(const cf_result *result, size_t i, cf_dtype dtype, double number) {
    if (result->as_double || dtype == CF_FLOAT64)
        ((double *)result->data)[i] = number;
    else
        ((float *)result->data)[i] = (float)number;
}

void cf_flow_mend_infinite(const void *self, const cf_function_call *call) {
    const cf_flow *flow = self;
    cf_dtype dtype = cf_model_dtype(flow->model);
    const cf_array *x = &call->input[cf_function_input(call->function, "x")];
    size_t features = cf_flow_features(flow);
    for (size_t port = 0; port < CF_MAX_PORTS; port++) {
        const cf_result *result = &call->output[port];
        size_t width = result->row_stride;
        if (result->data == NULL)
            continue;
        double mended = call->function->output[port].number ? -INFINITY : 0.0;
        for (size_t i = 0; i < call->samples * width; i++)
            if (isnan(get(result, i, dtype)) && is_infinite(x, i / width, features))
                set(result, i, dtype, mended);
    }
}
