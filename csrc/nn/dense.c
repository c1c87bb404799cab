#include "nn/dense.h"

#include <math.h>
#include <string.h>

#include "ops/ops.h"

/* Of the starting weights. Tried on the tables of benchmarks/density.py: with 1, as the frameworks
 * have it, flows that start as the identity learn more slowly; sqrt(3), which keeps the variance of
 * what passes through, overfits small tables sooner. */
static const double GAIN = 1.5;

cf_status cf_dense_bind(cf_dense *out, cf_binding *binding, const char *name, long number,
                        size_t inputs, size_t outputs, bool zero) {
    size_t mark;
    double unit = zero || inputs == 0 ? 0.0 : 1.0 / sqrt((double)inputs);
    *out = (cf_dense){.inputs = inputs, .outputs = outputs};
    CF_TRY(cf_binding_enter(binding, name, number, &mark));
    cf_status status = cf_bind_parameter(binding, "weight", 2, (size_t[]){outputs, inputs},
                                         GAIN * unit, &out->weight);
    if (status == CF_OK)
        status = cf_bind_parameter(binding, "bias", 1, &outputs, unit, &out->bias);
    cf_binding_leave(binding, mark);
    return status;
}

cf_value cf_dense_emit(const cf_dense *dense, cf_builder *b, cf_value x) {
    cf_value weight = cf_parameter(b, dense->weight, dense->outputs * dense->inputs);
    return cf_matmul(b, weight, cf_parameter(b, dense->bias, dense->outputs), x, dense->outputs);
}

static cf_value identity(cf_builder *b, cf_value x) {
    (void)b;
    return x;
}

/* The slope that the frameworks take where none is given. */
static cf_value leaky_relu(cf_builder *b, cf_value x) {
    return cf_leaky_relu(b, x, 0.01);
}

static cf_value (*const functions[])(cf_builder *, cf_value) = {
    cf_relu, leaky_relu, cf_tanh, cf_elu, cf_silu, cf_gelu, cf_softplus, cf_sigmoid, identity};

const char *const cf_activation_names[] = {"relu", "leaky_relu", "tanh",    "elu",      "silu",
                                           "gelu", "softplus",   "sigmoid", "identity", NULL};

cf_value cf_activation(cf_builder *b, const char *name, cf_value x) {
    for (size_t i = 0; cf_activation_names[i] != NULL; i++)
        if (strcmp(cf_activation_names[i], name) == 0)
            return functions[i](b, x);
    return cf_builder_fail(b, CF_INVALID, "no activation is called '%s'", name);
}
