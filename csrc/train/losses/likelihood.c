/* The negative log-likelihood, -log_prob; of a flow with stochastic layers a bound, such as a
 * VAE's.
 */
#include "ops/ops.h"
#include "train/losses/losses.h"

static void emit(const void *self, cf_builder *b, const cf_program_key *key, const cf_value *input,
                 cf_value *output) {
    const cf_function *log_prob = self;
    cf_value density = CF_NO_VALUE;
    if ((key->outputs | key->cotangents) & 2u)
        cf_builder_ask_penalty(b);
    log_prob->emit(log_prob->self, b, key, input, &density);
    output[0] = cf_scale_shift(b, density, -1.0, 0.0);
    output[1] = cf_builder_penalty(b);
}

static cf_status add(const cf_flow *flow) {
    const cf_function *log_prob = cf_model_function(flow->model, "log_prob");
    cf_function function = *log_prob;
    function.name = "likelihood";
    function.output[0].name = "loss";
    if (cf_layer_is_penalized(&flow->chain))
        function.output[1] = (cf_port){.name = "penalty", .shape = cf_vector(1), .number = true};
    function.emit = emit;
    function.finish = NULL;
    function.self = log_prob;
    return cf_model_add_function(flow->model, &function, NULL);
}

const cf_loss cf_likelihood_loss = {.name = "likelihood", .add = add};
