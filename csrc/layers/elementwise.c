/* Elementwise: a transform of every feature by itself, with unconstrained parameters that are
 * learned or functions of the context. */
#include "layers/conditioned.h"

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    cf_conditioned *state;
    cf_features all;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    CF_TRY(cf_every_feature(&all, layer, binding));
    return cf_conditioned_bind(state, layer, binding, (cf_features){0}, all, true, 1, NULL);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    return cf_conditioned_apply(layer->state, b, u, CF_NO_VALUE, context, false, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    return cf_conditioned_apply(layer->state, b, x, CF_NO_VALUE, context, true, log_det);
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_option options[] = {CF_CONDITIONED_OPTIONS};

const cf_spec_type cf_elementwise_type = {
    .name = "Elementwise",
    .role = "layer",
    .doc =
        "A transform of every feature by itself.\n\n"
        "``x_f = transform(u_f; param_f)``, ``log_det`` the sum of the logarithms of the "
        "derivatives. The\n"
        "unconstrained parameters are learned; in a flow with context they are functions of it.\n\n"
        "References\n----------\n"
        "Durkan et al. 2019, Neural spline flows, arXiv:1906.04032.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_conditioned_check,
    .methods = &methods,
};
