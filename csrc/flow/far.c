/* Densities far out: what a network makes of infinite numbers, or of those whose squares are, is
 * NaN, but the density there is 0. */
#include <float.h>
#include <math.h>

#include "flow/flow.h"

/* The number behind the map beside the data. */
static double behind(const cf_flow *flow, const cf_fixed_map *map, size_t f, double number) {
    cf_map_call call = {.map = map, .buffers = cf_model_buffers(flow->model), .to_base = true};
    cf_mapped m = {.value = {number}};
    call.unit = cf_model_dtype(flow->model) == CF_FLOAT32 ? FLT_EPSILON : DBL_EPSILON;
    if (map == NULL)
        return number;
    cf_map_feature[cf_simd()](&call, f, CF_MAP_LANES, NULL, &m);
    return m.value[0];
}

/* Whether the point holds a number that is far out and no NaN. */
static bool is_far(const cf_flow *flow, const cf_array *x, size_t sample) {
    const cf_fixed_map *map = cf_layer_data_map(&flow->chain);
    double most = sqrt(cf_model_dtype(flow->model) == CF_FLOAT32 ? FLT_MAX : DBL_MAX);
    bool far = false;
    for (size_t f = 0; f < cf_flow_features(flow); f++) {
        double number = cf_array_number(x, sample, f);
        if (isnan(number))
            return false;
        far = far || isinf(number) || fabs(behind(flow, map, f, number)) > most;
    }
    return far;
}

static bool is_known(const cf_flow *flow, const cf_array *context, size_t sample) {
    for (size_t f = 0; f < cf_flow_context_features(flow) && context->data != NULL; f++)
        if (!isfinite(cf_array_number(context, sample, f)))
            return false;
    return true;
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

void cf_flow_mend_far(const void *self, const cf_function_call *call) {
    const cf_flow *flow = self;
    cf_dtype dtype = cf_model_dtype(flow->model);
    const cf_array *x = &call->input[cf_function_input(call->function, "x")];
    const cf_array *context = &call->input[cf_function_input(call->function, "context")];
    for (size_t port = 0; port < CF_MAX_PORTS; port++) {
        const cf_result *result = &call->output[port];
        size_t width = result->row_stride;
        if (result->data == NULL)
            continue;
        double mended = call->function->output[port].number ? -INFINITY : 0.0;
        for (size_t i = 0; i < call->samples * width; i++)
            if (isnan(get(result, i, dtype)) && is_far(flow, x, i / width) &&
                is_known(flow, context, i / width))
                set(result, i, dtype, mended);
    }
}
