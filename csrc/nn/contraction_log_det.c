/* log|det(I + J)| with J = dg/dx, by elimination. */
#include "base/memory.h"
#include "nn/contraction.h"
#include "ops/ops.h"

/* The identity of n rows: a view. */
static cf_value identity(cf_builder *b, size_t n) {
    int64_t *indices;
    cf_value numbers[2] = {cf_constant(b, CF_UNBATCHED, 1, 0.0),
                           cf_constant(b, CF_UNBATCHED, 1, 1.0)};
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&indices, n * n, sizeof *indices) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for an identity matrix");
    for (size_t i = 0; i < n * n; i++)
        indices[i] = i % (n + 1) == 0;
    cf_value view = cf_select(b, cf_concat(b, numbers, 2), indices, n * n);
    cf_free(indices);
    return view;
}

cf_value cf_contraction_log_det(const cf_contraction_params *params, cf_builder *b, cf_value x,
                                cf_value *g) {
    cf_value jacobian = CF_NO_VALUE;
    *g = cf_contraction_jacobian(params, b, x, &jacobian);
    return cf_log_abs_det(b,
                          cf_add(b, jacobian, identity(b, cf_contraction_features(params->net))));
}
