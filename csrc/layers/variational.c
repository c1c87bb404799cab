/* Variational: data are drawn from a likelihood whose parameters are a network's function of the
 * latents, and latents from a posterior that another network makes of the data. The layer of a
 * variational autoencoder (Kingma and Welling 2014), whose prior is what lies between it and the
 * base (SurVAE flows: Nielsen et al. 2020). */
#include "dist/likelihood.h"
#include "layers/chain.h"
#include "nn/conditioner.h"
#include "ops/ops.h"

#define LOG_1000 6.907755278982137

typedef struct {
    size_t latents;
    cf_spec *likelihood;
    cf_conditioner encoder, decoder;
} variational_state;

static cf_status reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    if (!to_base) /* the shape of data does not follow from that of their latents */
        return cf_fail(CF_INVALID, "Variational: it stands next to the data, not turned round");
    (void)spec;
    *shape = cf_vector((size_t)cf_spec_int(spec, "latents"));
    return CF_OK;
}

static cf_status check_networks(const cf_spec *spec) {
    static const char *const names[] = {"encoder", "decoder"};
    for (size_t i = 0; i < 2; i++) {
        const cf_spec *network = cf_spec_spec(spec, names[i]);
        if (cf_conditioner_is_convolutional(network))
            return cf_fail(CF_INVALID,
                           "Variational: %s is from images to images, its %s is to be an MLP, a "
                           "ResidualNet or a %s",
                           cf_spec_type_of(network)->name, names[i],
                           i == 0 ? "ConvEncoder" : "ConvDecoder");
    }
    return CF_OK;
}

/* Means and scales, and what the layers of the posterior see. */
static cf_status bind_encoder(cf_layer *layer, cf_binding *binding) {
    variational_state *state = layer->state;
    size_t layers = cf_spec_get(layer->spec, "layers")->count;
    cf_conditioner_sizes sizes = {.shape = layer->shape,
                                  .context = layer->context,
                                  .outputs = (layers > 0 ? 3 : 2) * state->latents,
                                  .groups = 1};
    return cf_conditioner_bind(&state->encoder, cf_spec_spec(layer->spec, "encoder"), binding,
                               "encoder", sizes, false);
}

static cf_status bind_decoder(cf_layer *layer, cf_binding *binding) {
    variational_state *state = layer->state;
    size_t params = cf_likelihood_methods_of(state->likelihood)->param_count(state->likelihood);
    if (layer->features > INT32_MAX / params)
        return cf_fail(CF_INVALID,
                       "Variational: %zu unconstrained parameters of %zu features are too many",
                       params, layer->features);
    cf_conditioner_sizes sizes = {.shape = cf_vector(state->latents),
                                  .context = layer->context,
                                  .image = layer->shape,
                                  .outputs = params * layer->features,
                                  .groups = 1};
    return cf_conditioner_bind(&state->decoder, cf_spec_spec(layer->spec, "decoder"), binding,
                               "decoder", sizes, false);
}

/* The layers of the posterior see what the encoder gives them, then the context. */
static cf_status bind_posterior(cf_layer *layer, cf_binding *binding) {
    variational_state *state = layer->state;
    cf_shape inner = cf_vector(state->latents);
    size_t seen = state->latents + cf_shape_features(layer->context);
    CF_TRY(cf_chain_reshape(layer->spec, true, &inner));
    if (cf_shape_features(inner) != state->latents)
        return cf_fail(CF_INVALID, "Variational: the posterior's layers make %zu features of %zu",
                       cf_shape_features(inner), state->latents);
    return cf_chain_bind(layer, binding, cf_vector(state->latents), cf_vector(seen), 0);
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    variational_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->latents = (size_t)cf_spec_int(layer->spec, "latents");
    CF_TRY(cf_likelihood_spec(layer->spec, &state->likelihood));
    CF_TRY(cf_binding_keep(binding, state->likelihood));
    CF_TRY(bind_encoder(layer, binding));
    CF_TRY(bind_decoder(layer, binding));
    return bind_posterior(layer, binding);
}

/* z of the posterior, and -log of its density. */
static cf_value encode(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                       cf_value *minus_log_q) {
    const variational_state *state = layer->state;
    size_t n = state->latents;
    cf_value params = cf_conditioner_emit(&state->encoder, b, x, context);
    cf_value mean = cf_slice(b, params, 0, n), seen = CF_NO_VALUE;
    cf_value log_scale = cf_softclip(b, cf_slice(b, params, n, n), LOG_1000);
    cf_value noise = cf_normal_noise(b, n);
    cf_value z = cf_add(b, mean, cf_multiply(b, noise, cf_exp(b, log_scale)));
    *minus_log_q = cf_subtract(b, cf_sum_features(b, log_scale), cf_normal_log_density(b, noise));
    if (layer->children == 0)
        return z;
    cf_value log_det = CF_NO_VALUE;
    seen = cf_concat(b, (cf_value[]){cf_slice(b, params, 2 * n, n), context}, 2);
    z = cf_chain_forward(layer, b, z, seen, &log_det);
    *minus_log_q = cf_add_optional(b, *minus_log_q, log_det);
    return z;
}

/* The cotangents of the prior and of the posterior's density have a weight where the program
 * provides one, so that their gradient is warmed up, and not their value. */
static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const variational_state *state = layer->state;
    const cf_likelihood_methods *likelihood = cf_likelihood_methods_of(state->likelihood);
    cf_value minus_log_q;
    cf_value z = encode(layer, b, x, context, &minus_log_q);
    cf_value params = cf_conditioner_emit(&state->decoder, b, z, context);
    *log_det = likelihood->log_prob(state->likelihood, b, params, x);
    cf_value weight = cf_builder_provided(b, "kl_weight");
    if (!cf_is_none(weight)) {
        z = cf_scale_gradient(b, z, weight);
        minus_log_q = cf_scale_gradient(b, minus_log_q, weight);
    }
    *log_det = cf_add(b, *log_det, minus_log_q);
    return z;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const variational_state *state = layer->state;
    const cf_likelihood_methods *likelihood = cf_likelihood_methods_of(state->likelihood);
    cf_value params = cf_conditioner_emit(&state->decoder, b, u, context);
    *log_det = cf_constant(b, CF_BATCHED, 1, CF_NO_LOG_DET);
    if (cf_builder_is_deterministic(b))
        return likelihood->mean(state->likelihood, b, params, layer->features);
    return likelihood->draw(state->likelihood, b, params, layer->features, cf_next_stream(b));
}

static cf_status check(const cf_spec *spec) {
    int64_t latents = cf_spec_int(spec, "latents");
    if (latents < 1 || latents > 1 << 20)
        return cf_fail(CF_INVALID, "Variational: latents must be from 1 to 1048576, got %lld",
                       (long long)latents);
    return check_networks(spec);
}

static const cf_layer_methods methods = {.bind = bind,
                                         .forward = forward,
                                         .inverse = inverse,
                                         .stochastic = true,
                                         .restricted_domain = true,
                                         .reshape = reshape};

static const cf_option options[] = {
    {.name = "latents",
     .kinds = CF_OPTION_INT,
     .required = true,
     .doc = "How many numbers z has, which is this layer's u."},
    {.name = "encoder",
     .kinds = CF_OPTION_SPEC,
     .required = true,
     .spec_role = "conditioner",
     .doc = "The network from x to the posterior: all means, then all unconstrained scales, then "
            "what its "
            "layers see, if it has any. An `MLP` or, of images, a `ConvEncoder`."},
    {.name = "decoder",
     .kinds = CF_OPTION_SPEC,
     .required = true,
     .spec_role = "conditioner",
     .doc = "The network from z to the likelihood's unconstrained parameters: an `MLP` or, of "
            "images, a "
            "`ConvDecoder`."},
    {.name = "likelihood",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("bernoulli"),
     .choices = cf_likelihood_names,
     .spec_role = "likelihood",
     .doc = "Of x given z: a `Likelihood`, or the name of one as it is by default."},
    {.name = "layers",
     .kinds = CF_OPTION_SPECS,
     .default_value = CF_DEFAULT_SPECS,
     .spec_role = "layer",
     .doc = "Further layers of the posterior, from a normal with independent features to z, with "
            "``latents`` numbers of the encoder for context."},
};

const cf_spec_type cf_variational_type = {
    .name = "Variational",
    .role = "layer",
    .doc =
        "Data from a likelihood given latents, and latents from a posterior given data: what a "
        "VAE adds to\nits prior.\n\n"
        "On the way to the base ``z ~ q(z|x)``: ``z = layers(mean + scale * e)`` with normal e, "
        "where the\n"
        "encoder gives ``mean``, ``scale = exp(s / (1 + |s| / log(1000)))`` and what the layers "
        "see; on the way\n"
        "to the data ``x ~ p(x|z)``, the likelihood with the decoder's unconstrained parameters. A "
        "stochastic "
        "layer: with\n"
        "``log_det = log p(x|z) - log q(z|x)`` a flow's `log_prob` is the evidence lower bound,\n"
        "``log p(z) + log p(x|z) - log q(z|x)``, with the layers and the base on its side of u "
        "as the prior\n"
        "of z. ``forward`` has no ``log_det``: NaN.\n\n"
        "The warm-up of a fit, ``kl_warmup``, multiplies the gradients that come through ``log "
        "p(z)`` and\n``log q(z|x)`` to encoder and posterior.\n\n"
        "References\n----------\n"
        "Kingma and Welling 2014, Auto-encoding variational Bayes, arXiv:1312.6114, equation 3.\n"
        "Kingma et al. 2016, Improved variational inference with inverse autoregressive flow, "
        "arXiv:1606.04934.\n"
        "Nielsen et al. 2020, SurVAE flows, arXiv:2007.02731, section 3.1.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
