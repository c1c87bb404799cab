/* The functions of a flow. */
#include "base/philox.h"
#include "flow/flow.h"
#include "ops/ops.h"

cf_value cf_flow_see_context(const cf_flow *flow, cf_builder *b, cf_value context) {
    if (cf_is_none(context))
        return context;
    if (flow->context_map != NULL)
        context = cf_fixed_map_value(b, context, flow->context_map, true, CF_NO_VALUE);
    if (flow->embedding.spec == NULL)
        return context;
    cf_value seen = cf_embedding_emit(&flow->embedding, b, context);
    return cf_add(b, seen, cf_unknown(b, context));
}

/* What to add to numbers that depend on a context, or CF_NO_VALUE: NaN where something of it is
 * unknown, else 0. By themselves splines are the identity far out, whatever they see. */
static cf_value unknown_of(cf_builder *b, cf_value seen) {
    return cf_is_none(seen) ? seen : cf_unknown(b, seen);
}

static cf_value given(cf_builder *b, cf_value x, cf_value unknown) {
    return cf_is_none(unknown) || cf_is_none(x) ? x : cf_add(b, x, unknown);
}

/* Tells the layers whether output 1, which is a log-determinant or has one in it, is asked for. */
static void tell_log_det(cf_builder *b, const cf_program_key *key) {
    if (!((key->outputs | key->cotangents) & 2u))
        cf_builder_set_without_log_det(b);
}

static void emit_inverse(const void *self, cf_builder *b, const cf_program_key *key,
                         const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    tell_log_det(b, key);
    cf_value seen = cf_flow_see_context(flow, b, input[1]), unknown = unknown_of(b, seen);
    output[0] = given(b, cf_layer_inverse(&flow->chain, b, input[0], seen, &output[1]), unknown);
    output[1] = given(b, output[1], unknown);
}

static void emit_forward(const void *self, cf_builder *b, const cf_program_key *key,
                         const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    tell_log_det(b, key);
    cf_value seen = cf_flow_see_context(flow, b, input[1]), unknown = unknown_of(b, seen);
    output[0] = cf_layer_forward(&flow->chain, b, given(b, input[0], unknown), seen, &output[1]);
    output[1] = given(b, output[1], unknown);
}

cf_value cf_flow_log_prob_at(const cf_flow *flow, cf_builder *b, cf_value x, cf_value seen,
                             cf_value *u) {
    cf_value log_det;
    *u = cf_layer_inverse(&flow->chain, b, x, seen, &log_det);
    cf_value density = cf_base_methods_of(&flow->base)->log_prob(&flow->base, b, *u, seen);
    return given(b, cf_add_optional(b, density, log_det), unknown_of(b, seen));
}

static cf_value log_prob(const cf_flow *flow, cf_builder *b, cf_value x, cf_value seen) {
    cf_value u;
    return cf_flow_log_prob_at(flow, b, x, seen, &u);
}

static void emit_log_prob(const void *self, cf_builder *b, const cf_program_key *key,
                          const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    (void)key;
    cf_builder_provide(b, "kl_weight", input[3]);
    output[0] = log_prob(flow, b, input[0], cf_flow_see_context(flow, b, input[1]));
}

/* The gradient of log_prob with respect to x. */
static void emit_score(const void *self, cf_builder *b, const cf_program_key *key,
                       const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    cf_value seen = cf_flow_see_context(flow, b, input[1]);
    (void)key;
    output[1] = log_prob(flow, b, input[0], seen);
    if (cf_builder_status(b) != CF_OK)
        return;
    bool unbatched = cf_value_kind(b, output[1]) == CF_UNBATCHED; /* it does not depend on x */
    cf_value one = given(b, cf_constant(b, CF_BATCHED, 1, 1.0), unknown_of(b, seen));
    if (!unbatched)
        cf_gradient(b, 1, &output[1], &one, 1, &input[0], &output[0]);
    if (!cf_is_none(output[0])) /* where the density is 0 */
        output[0] = cf_where_possible(b, output[1], output[0]);
}

static void emit_sample(const void *self, cf_builder *b, const cf_program_key *key,
                        const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    const cf_base_methods *base = cf_base_methods_of(&flow->base);
    tell_log_det(b, key);
    cf_value seen = cf_flow_see_context(flow, b, input[0]), log_det;
    cf_value u = base->sample(&flow->base, b, CF_STREAM_PROGRAM, seen);
    u = given(b, u, unknown_of(b, seen));
    output[0] = cf_layer_forward(&flow->chain, b, u, seen, &log_det);
    output[1] = base->log_prob(&flow->base, b, u, seen);
    if (!cf_is_none(log_det))
        output[1] = cf_subtract(b, output[1], log_det);
}

/* The base as a mixture; u only tells how many samples there are. */
static void emit_components(const void *self, cf_builder *b, const cf_program_key *key,
                            const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    cf_components base = cf_base_methods_of(&flow->base)
                             ->components(&flow->base, b, cf_flow_see_context(flow, b, input[1]));
    (void)key;
    output[0] = base.log_weight;
    output[1] = base.loc;
    output[2] = base.log_scale;
    output[3] = base.log_shapes;
}

static cf_status add_components(cf_flow *flow, cf_port u, cf_port context) {
    cf_shape numbers = cf_vector(cf_base_component_count(&flow->base));
    cf_function function = {
        .name = "base_components",
        .input = {u, context},
        .output = {{.name = "log_weight", .shape = numbers},
                   {.name = "loc", .shape = numbers},
                   {.name = "log_scale", .shape = numbers},
                   {.name = "log_shapes", .shape = cf_vector(2)}},
        .emit = emit_components,
        .self = flow,
    };
    return cf_model_add_function(flow->model, &function, NULL);
}

static const cf_layer *last_layer(const cf_flow *flow) {
    return flow->chain.children > 0 ? &flow->chain.child[flow->chain.children - 1] : NULL;
}

static void emit_encode(const void *self, cf_builder *b, const cf_program_key *key,
                        const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    cf_value log_det;
    (void)key;
    output[0] = cf_layer_inverse(last_layer(flow), b, input[0],
                                 cf_flow_see_context(flow, b, input[1]), &log_det);
}

static void emit_decode(const void *self, cf_builder *b, const cf_program_key *key,
                        const cf_value *input, cf_value *output) {
    const cf_flow *flow = self;
    cf_value log_det;
    (void)key;
    output[0] = cf_layer_forward(last_layer(flow), b, input[0],
                                 cf_flow_see_context(flow, b, input[1]), &log_det);
}

static cf_status add_latent_functions(cf_flow *flow, cf_port x, cf_port context) {
    cf_port z = {.name = "z", .shape = flow->shape};
    CF_TRY(cf_layer_reshape(last_layer(flow)->spec, true, &z.shape));
    const cf_function functions[] = {
        {.name = "encode", .input = {x, context}, .output = {z}, .emit = emit_encode},
        {.name = "decode",
         .input = {z, context},
         .output = {x},
         .emit = emit_decode,
         .first_stream = CF_STREAM_TO_DATA},
    };
    for (size_t i = 0; i < 2; i++) {
        cf_function function = functions[i];
        function.self = flow;
        CF_TRY(cf_model_add_function(flow->model, &function, NULL));
    }
    return CF_OK;
}

cf_status cf_flow_add_functions(cf_flow *flow) {
    cf_port x = {.name = "x", .shape = flow->shape, .in_units = true};
    cf_port u = {.name = "u", .shape = flow->base_shape};
    cf_port context = {.name = "context", .shape = cf_vector(cf_flow_context_features(flow))};
    cf_port jitter = {.name = "jitter", .shape = flow->shape, .optional = true, .jitter = true};
    cf_port kl_weight = {.name = "kl_weight", .shape = cf_vector(1), .optional = true};
    cf_port log_det = {.name = "log_det", .shape = cf_vector(1), .number = true};
    cf_port density = {.name = "log_prob", .shape = cf_vector(1), .number = true};
    cf_port score = {.name = "score", .shape = flow->shape, .in_units = true};
    const cf_function functions[] = {
        {.name = "inverse", .input = {x, context}, .output = {u, log_det}, .emit = emit_inverse},
        {.name = "forward",
         .input = {u, context},
         .output = {x, log_det},
         .emit = emit_forward,
         .first_stream = CF_STREAM_TO_DATA},
        {.name = "log_prob",
         .input = {x, context, jitter, kl_weight},
         .output = {density},
         .emit = emit_log_prob,
         .finish = cf_flow_mend_far},
        {.name = "score",
         .input = {x, context},
         .output = {score, density},
         .emit = emit_score,
         .finish = cf_flow_mend_far},
        {.name = "sample",
         .input = {context},
         .output = {x, density},
         .emit = emit_sample,
         .first_stream = CF_STREAM_TO_DATA},
        {.name = "initialise",
         .input = {x, context, jitter},
         .output = {u, log_det},
         .emit = emit_inverse},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        cf_function function = functions[i];
        function.self = flow;
        CF_TRY(cf_model_add_function(flow->model, &function, NULL));
    }
    if (flow->base.features == 1)
        CF_TRY(add_components(flow, u, context));
    const cf_layer *last = last_layer(flow);
    bool latent = last != NULL && cf_layer_is_stochastic(last);
    return latent ? add_latent_functions(flow, x, context) : CF_OK;
}
