#include "nn/embedding.h"

#include <math.h>

#include "nn/categories.h"
#include "ops/ops.h"

/* The numbers of a category's vector; 1 for a column of numbers. */
static size_t vector_size(size_t categories) {
    size_t size = (size_t)lround(1.6 * pow((double)categories, 0.56));
    return categories > 1 ? size : 1;
}

static cf_status bind_vectors(cf_embedding *out, cf_binding *binding) {
    size_t given = cf_spec_get(out->spec, "categories")->count;
    if (given > 0 && given != out->context)
        return cf_fail(CF_INVALID,
                       "Embedding: categories must have %zu entries, one a context feature, got "
                       "%zu",
                       out->context, given);
    CF_TRY(cf_arena_alloc(binding->arena, &out->vectors, out->context, sizeof *out->vectors));
    out->features = 0;
    for (size_t i = 0; i < out->context; i++) {
        size_t mark, count = cf_categories_of(out->spec, i), size = vector_size(count);
        out->features += size;
        if (count == 1)
            continue;
        CF_TRY(cf_binding_enter(binding, "column", (long)i, &mark));
        /* Of variance 1, as numbers that are standardised. */
        cf_status status =
            cf_bind_matrix(binding, "vectors", count, size, sqrt(3.0), NULL, &out->vectors[i]);
        cf_binding_leave(binding, mark);
        CF_TRY(status);
    }
    return CF_OK;
}

static cf_status network_spec(const cf_spec *spec, cf_spec **out) {
    cf_spec *given = cf_spec_spec(spec, "network");
    if (given == NULL)
        return cf_spec_new(out, &cf_mlp_type);
    *out = cf_spec_retain(given);
    return CF_OK;
}

static cf_status bind_network(cf_embedding *out, cf_binding *binding) {
    cf_spec *network;
    size_t inputs = out->features;
    CF_TRY(network_spec(out->spec, &network));
    CF_TRY(cf_binding_keep(binding, network));
    out->features = (size_t)cf_spec_int(out->spec, "features");
    /* A last layer that started at zero would let nothing of the context through, and would have no
     * gradient as long as what reads it starts at zero too. */
    return cf_conditioner_bind(
        &out->network, network, binding, "embedding",
        (cf_conditioner_sizes){.context = cf_vector(inputs), .outputs = out->features, .groups = 1},
        false);
}

static bool has_network(const cf_spec *spec) {
    return cf_spec_get(spec, "features")->kind != CF_NONE;
}

cf_status cf_embedding_bind(cf_embedding *out, cf_spec *spec, cf_binding *binding, size_t context) {
    size_t mark;
    *out = (cf_embedding){.spec = spec, .context = context, .features = context};
    if (spec == NULL)
        return CF_OK;
    if (context == 0)
        return cf_fail(CF_INVALID, "an embedding reads the context, and the flow has none: "
                                   "context_features must be 1 or more");
    CF_TRY(cf_binding_enter(binding, "embedding", -1, &mark));
    cf_status status = bind_vectors(out, binding);
    cf_binding_leave(binding, mark);
    CF_TRY(status);
    return has_network(spec) ? bind_network(out, binding) : CF_OK;
}

/* The vector of the category x; NaN where it is none. */
static cf_value vector_of(cf_builder *b, cf_value x, cf_value vectors, size_t categories) {
    double last = (double)categories - 1.0;
    cf_value hot = cf_one_hot(b, cf_clamp(b, x, 0.0, last), categories);
    cf_value inside = cf_log_indicator_integers(b, x, 0.0, last);
    cf_value vector = cf_matmul_transposed(b, vectors, hot, vector_size(categories));
    return cf_add(b, vector, cf_scale_shift(b, inside, 0.0, 0.0));
}

/* The numbers of the context from `first` on, up to `end`, behind what came before. */
static cf_value with_numbers(cf_builder *b, cf_value seen, cf_value context, size_t first,
                             size_t end) {
    if (first == end)
        return seen;
    return cf_concat(b, (cf_value[]){seen, cf_slice(b, context, first, end - first)}, 2);
}

static cf_value emit_vectors(const cf_embedding *embedding, cf_builder *b, cf_value context) {
    cf_value seen = CF_NO_VALUE;
    size_t first = 0;
    for (size_t i = 0; i < embedding->context; i++) {
        size_t count = cf_categories_of(embedding->spec, i);
        if (count == 1)
            continue;
        size_t size = count * vector_size(count);
        cf_value vectors = cf_parameter(b, embedding->vectors[i], size);
        cf_value vector = vector_of(b, cf_slice(b, context, i, 1), vectors, count);
        seen = with_numbers(b, seen, context, first, i);
        seen = cf_concat(b, (cf_value[]){seen, vector}, 2);
        first = i + 1;
    }
    return first == 0 ? context : with_numbers(b, seen, context, first, embedding->context);
}

cf_value cf_embedding_emit(const cf_embedding *embedding, cf_builder *b, cf_value context) {
    if (embedding->spec == NULL || cf_is_none(context))
        return context;
    cf_value seen = emit_vectors(embedding, b, context);
    return has_network(embedding->spec)
               ? cf_conditioner_emit(&embedding->network, b, CF_NO_VALUE, seen)
               : seen;
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *features = cf_spec_get(spec, "features");
    bool any;
    CF_TRY(cf_categories_check(spec, &any));
    if (features->kind == CF_NONE && !any)
        return cf_fail(CF_INVALID, "Embedding: features must say to how many numbers, or "
                                   "categories which columns of the context are some");
    if (features->kind == CF_NONE && cf_spec_spec(spec, "network") != NULL)
        return cf_fail(CF_INVALID, "Embedding: a network needs features, to how many numbers");
    if (features->kind != CF_NONE && (features->integers[0] < 1 || features->integers[0] > 1 << 24))
        return cf_fail(CF_INVALID, "Embedding: features must be from 1 to 16777216, got %lld",
                       (long long)features->integers[0]);
    return CF_OK;
}

static const cf_option options[] = {
    {.name = "features",
     .kinds = CF_OPTION_INT | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "How many numbers the layers and the base see as their context; None is no network: "
            "they see the numbers themselves and the vectors of `categories`."},
    {.name = "network",
     .kinds = CF_OPTION_SPEC | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .spec_role = "conditioner",
     .doc = "From the context to these numbers; None is an `MLP` as it is by default."},
    {.name = "categories",
     .kinds = CF_OPTION_INTS | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "How many categories each column of the context has: from 2 to 1024, of which the "
            "column holds a number from 0; or 1 for a column of numbers. None is 1 for all."},
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
           "A column of categories is a vector for each of them, of ``round(1.6 categories^0.56)`` "
           "numbers,\n"
           "also learned; what is none of its numbers is unknown, and so is what depends on it: "
           "NaN.\n\n"
           "References\n----------\n"
           "Guo and Berkhahn 2016, Entity embeddings of categorical variables, "
           "arXiv:1604.06737.\n"
           "Radev et al. 2020, BayesFlow: Learning complex stochastic models with invertible "
           "neural networks,\n"
           "arXiv:2003.06281.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
};
