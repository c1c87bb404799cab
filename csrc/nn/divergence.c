#include "nn/divergence.h"

#include "base/memory.h"
#include "ops/ops.h"

/* The gradient of the sum of weight[f] y[f] with respect to x. */
static cf_value pull_back(cf_builder *b, cf_value y, cf_value weight, cf_value x) {
    cf_value gradient = CF_NO_VALUE;
    if (cf_builder_status(b) == CF_OK)
        cf_gradient(b, 1, &y, &weight, 1, &x, &gradient);
    return gradient;
}

static cf_value zero(cf_builder *b) {
    return cf_constant(b, CF_BATCHED, 1, 0.0);
}

/* Adds |row|^2 to *squares, unless that is NULL. */
static void add_square(cf_builder *b, cf_value row, cf_value *squares) {
    if (squares != NULL)
        *squares = cf_add_optional(b, *squares, cf_sum_features(b, cf_multiply(b, row, row)));
}

/* By a gradient for each feature. */
static cf_value sum_diagonal(cf_builder *b, cf_value y, cf_value x, size_t features,
                             cf_value *squares) {
    cf_value *terms, one = cf_constant(b, CF_BATCHED, 1, 1.0);
    size_t count = 0;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&terms, features, sizeof *terms) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a divergence");
    for (size_t f = 0; f < features; f++) {
        cf_value row = pull_back(b, cf_slice(b, y, f, 1), one, x);
        if (cf_is_none(row))
            continue;
        terms[count++] = cf_slice(b, row, f, 1);
        add_square(b, row, squares);
    }
    cf_value all = cf_concat(b, terms, count);
    cf_free(terms);
    return count > 0 ? cf_sum_features(b, all) : zero(b);
}

cf_value cf_emit_divergence(const cf_conditioner *network, cf_builder *b, cf_value x,
                            cf_value context, cf_value *divergence, cf_value *squares) {
    const cf_conditioner_methods *methods = cf_spec_type_of(network->spec)->methods;
    *divergence = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (squares == NULL && methods->divergence != NULL && network->inputs == network->features) {
        cf_value y = methods->divergence(network, b, x, context, divergence);
        if (!cf_is_none(*divergence))
            return y;
    }
    x = cf_copy(b, x);
    cf_value y = cf_broadcast(b, cf_conditioner_emit(network, b, x, context));
    if (squares != NULL)
        *squares = CF_NO_VALUE;
    *divergence = sum_diagonal(b, y, x, network->features, squares);
    if (squares != NULL && cf_is_none(*squares))
        *squares = zero(b);
    return y;
}

cf_value cf_estimate_divergence(const cf_conditioner *network, cf_builder *b, cf_value x,
                                cf_value context, size_t probes, cf_value noise,
                                cf_value *divergence, cf_value *squares) {
    size_t n = network->features;
    double share = 1.0 / (double)probes;
    cf_value sum = CF_NO_VALUE;
    if (squares != NULL)
        *squares = CF_NO_VALUE;
    x = cf_copy(b, x);
    cf_value y = cf_broadcast(b, cf_conditioner_emit(network, b, x, context));
    for (size_t i = 0; i < probes && cf_builder_status(b) == CF_OK; i++) {
        cf_value sign = cf_greater_equal(b, cf_slice(b, noise, i * n, n), 0.5);
        cf_value v = cf_scale_shift(b, sign, 2.0, -1.0), row = pull_back(b, y, v, x);
        if (cf_is_none(row))
            continue;
        sum = cf_add_optional(b, sum, cf_sum_features(b, cf_multiply(b, row, v)));
        add_square(b, row, squares);
    }
    *divergence = cf_is_none(sum) ? zero(b) : cf_scale_shift(b, sum, share, 0.0);
    if (squares != NULL)
        *squares = cf_is_none(*squares) ? zero(b) : cf_scale_shift(b, *squares, share, 0.0);
    return y;
}
