#include "nn/embedding.h"

static cf_status network_spec(const cf_spec *spec, cf_spec **out) {
    cf_spec *given = cf_spec_spec(spec, "network");
    if (given == NULL)
        return cf_spec_new(out, &cf_mlp_type);
    *out = cf_spec_retain(given);
    return CF_OK;
}

cf_status cf_embedding_bind(cf_embedding *out, cf_spec *spec, cf_binding *binding, size_t context) {
    cf_spec *network;
    *out = (cf_embedding){.spec = spec, .context = context, .features = context};
    if (spec == NULL)
        return CF_OK;
    if (context == 0)
        return cf_fail(CF_INVALID, "an embedding reads the context, and the flow has none: "
                                   "context_features must be 1 or more");
    out->features = (size_t)cf_spec_int(spec, "features");
    CF_TRY(network_spec(spec, &network));
    CF_TRY(cf_binding_keep(binding, network));
    /* A last layer that started at zero would let nothing of the context through, and would have no
     * gradient as long as what reads it starts at zero too. */
    return cf_conditioner_bind(&out->network, network, binding, "embedding",
                               (cf_conditioner_sizes){.context = cf_vector(context),
                                                      .outputs = out->features,
                                                      .groups = 1},
                               false);
}

cf_value cf_embedding_emit(const cf_embedding *embedding, cf_builder *b, cf_value context) {
    if (embedding->spec == NULL)
        return context;
    return cf_conditioner_emit(&embedding->network, b, CF_NO_VALUE, context);
}

static cf_status check(const cf_spec *spec) {
    int64_t features = cf_spec_int(spec, "features");
    if (features < 1 || features > 1 << 24)
        return cf_fail(CF_INVALID, "Embedding: features must be from 1 to 16777216, got %lld",
                       (long long)features);
    return CF_OK;
}

static const cf_option options[] = {
    {.name = "features",
     .kinds = CF_OPTION_INT,
     .required = true,
     .doc = "How many numbers the layers and the base see as their context."},
    {.name = "network",
     .kinds = CF_OPTION_SPEC | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .spec_role = "conditioner",
     .doc = "From the context to these numbers; None is an `MLP` as it is by default."},
};

const cf_spec_type cf_embedding_type = {
    .name = "Embedding",
    .role = "embedding",
    .doc = "A network between the context and all that is conditioned on it, learned with the "
           "flow.\n\n"
           "Where the context has many features, such as a spectrum or a time series, a summary of "
           "a few\n"
           "numbers is learned once, for all layers and the base. In the flow's parameters it is\n"
           "``embedding.*``. Unlike a coupling's conditioner its last layer does not start at "
           "zero.\n\n"
           "References\n----------\n"
           "Radev et al. 2020, BayesFlow: Learning complex stochastic models with invertible "
           "neural networks,\n"
           "arXiv:2003.06281.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
};
