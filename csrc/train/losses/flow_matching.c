/* Flow matching: the velocity of a continuous flow is learned without solving its equation (Lipman
 * et al. 2023; Liu et al. 2023; Albergo and Vanden-Eijnden 2023). Between a draw u of the base and
 * data z, as they are behind the fixed maps, the straight path z_t = (1 - t) u + t z has the
 * velocity z - u, and the mean of v(z_t, t) that is nearest to it carries one to the other. */
#include "layers/continuous.h"
#include "ops/ops.h"
#include "train/losses/losses.h"

/* The mean square of v(z_t, t) - (z - u) over features. */
static void emit(const void *self, cf_builder *b, const cf_program_key *key, const cf_value *input,
                 cf_value *output) {
    const cf_flow *flow = self;
    const cf_layer *chain = &flow->chain, *layer = &chain->child[0];
    cf_value seen = cf_flow_see_context(flow, b, input[1]), log_det, z = input[0];
    (void)key;
    if (chain->map != NULL)
        z = cf_layer_through_map(chain, b, z, true, &log_det);
    uint32_t stream = cf_next_stream(b);
    cf_value t = cf_random_uniform_samples(b, 1, cf_next_stream(b));
    cf_value u = cf_base_methods_of(&flow->base)->sample(&flow->base, b, stream, seen);
    cf_value target = cf_subtract(b, z, u), at = cf_add(b, u, cf_multiply(b, target, t));
    cf_value error = cf_subtract(b, cf_continuous_velocity(layer, b, t, at, seen), target);
    if (cf_builder_status(b) != CF_OK)
        return;
    double features = (double)cf_value_size(b, error);
    output[0] = cf_sum_features(b, cf_multiply(b, error, error));
    output[0] = cf_scale_shift(b, output[0], 1.0 / features, 0.0);
}

static cf_status check(const cf_flow *flow) {
    const cf_layer *chain = &flow->chain;
    if (chain->mapped != 1 || cf_spec_type_of(chain->child[0].spec) != &cf_continuous_type)
        return cf_fail(
            CF_INVALID,
            "flow_matching learns the velocity of a flow of one Continuous layer, behind "
            "which only fixed maps such as Affine() may stand");
    return CF_OK;
}

static cf_status add(const cf_flow *flow) {
    cf_function function = *cf_model_function(flow->model, "log_prob");
    function.name = "flow_matching";
    function.output[0].name = "loss";
    function.emit = emit;
    function.finish = NULL;
    function.self = flow;
    return cf_model_add_function(flow->model, &function, NULL);
}

const cf_loss cf_flow_matching_loss = {.name = "flow_matching", .check = check, .add = add};
