/* Argmax: a category is the largest of as many real numbers, which are drawn given the category
 * (Hoogeboom et al. 2021). */
#include "layers/layer.h"
#include "nn/categories.h"
#include "ops/ops.h"

typedef struct {
    size_t logits; /* parameter, of all categories of columns that have more than one */
    size_t count;
} argmax_state;

static size_t base_features(const cf_spec *spec) {
    size_t sum = 0;
    for (size_t f = 0; f < cf_spec_get(spec, "categories")->count; f++)
        sum += cf_categories_of(spec, f);
    return sum;
}

static cf_status reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    size_t columns = cf_spec_get(spec, "categories")->count;
    size_t found = cf_shape_features(*shape), wanted = to_base ? columns : base_features(spec);
    if (shape->image || found != wanted)
        return cf_fail(CF_INVALID, "Argmax: %zu numbers of categories for %s of %zu features",
                       columns, shape->image ? "images" : "vectors", found);
    *shape = cf_vector(to_base ? base_features(spec) : columns);
    return CF_OK;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    argmax_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    for (size_t f = 0; f < layer->features; f++)
        state->count += cf_categories_of(layer->spec, f) > 1 ? cf_categories_of(layer->spec, f) : 0;
    return cf_bind_parameter(binding, "logits", 1, &state->count, 0.0, &state->logits);
}

/* A standard Gumbel variable of a uniform one. */
static cf_value gumbel(cf_builder *b, cf_value uniform) {
    cf_value minus_log = cf_scale_shift(b, cf_log(b, uniform), -1.0, 0.0);
    return cf_scale_shift(b, cf_log(b, minus_log), -1.0, 0.0);
}

/* v given that v_x is the largest, of Gumbel variables v_k around the logits: the largest is one
 * around log(sum(exp(logits))), t, and the others are t - softplus(t - g) of free ones g. Adds
 * -log q(v|x) = sum(a + exp(-a)) + log softmax(logits)_x, a = v - logits, to *log_det. */
static cf_value draw(cf_builder *b, cf_value x, cf_value uniform, cf_value logits,
                     size_t categories, cf_value *log_det) {
    cf_value hot = cf_one_hot(b, cf_clamp(b, x, 0.0, (double)categories - 1.0), categories);
    cf_value cold = cf_scale_shift(b, hot, -1.0, 1.0), all = cf_log_sum_exp(b, logits);
    cf_value each = cf_broadcast(b, logits);
    cf_value largest = cf_add(b, gumbel(b, cf_slice(b, uniform, 0, 1)), cf_broadcast(b, all));
    cf_value t = cf_repeat(b, largest, categories);
    cf_value g = cf_add(b, gumbel(b, cf_slice(b, uniform, 1, categories)), each);
    cf_value below = cf_multiply(b, cold, cf_softplus(b, cf_subtract(b, t, g)));
    cf_value v = cf_subtract(b, t, below), a = cf_subtract(b, v, each);
    cf_value minus_log_q = cf_add(b, a, cf_exp(b, cf_scale_shift(b, a, -1.0, 0.0)));
    minus_log_q = cf_sum_features(b, cf_add(b, minus_log_q, cf_multiply(b, hot, each)));
    minus_log_q = cf_subtract(b, minus_log_q, cf_broadcast(b, all));
    cf_value inside = cf_log_indicator_integers(b, x, 0.0, (double)categories - 1.0);
    *log_det = cf_add_optional(b, *log_det, cf_add(b, minus_log_q, inside));
    return v;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const argmax_state *state = layer->state;
    size_t drawn = 0, logit = 0;
    (void)context;
    /* One more a column, of the largest. */
    cf_value uniform = cf_uniform_noise(b, state->count + layer->features);
    uniform = cf_clamp(b, uniform, 0x1p-25, 1.0 - 0x1p-24); /* where both logarithms are finite */
    cf_value logits = cf_parameter(b, state->logits, state->count), u = CF_NO_VALUE;
    for (size_t f = 0; f < layer->features && cf_builder_status(b) == CF_OK; f++) {
        size_t n = cf_categories_of(layer->spec, f);
        cf_value v = cf_slice(b, x, f, 1);
        if (n > 1) {
            v = draw(b, v, cf_slice(b, uniform, drawn, n + 1), cf_slice(b, logits, logit, n), n,
                     log_det);
            drawn += n + 1;
            logit += n;
        }
        u = cf_concat(b, (cf_value[]){u, v}, 2);
    }
    return u;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    cf_value x = CF_NO_VALUE;
    size_t first = 0;
    (void)context;
    *log_det = cf_constant(b, CF_BATCHED, 1, CF_NO_LOG_DET);
    for (size_t f = 0; f < layer->features && cf_builder_status(b) == CF_OK; f++) {
        size_t n = cf_categories_of(layer->spec, f);
        cf_value v = cf_slice(b, u, first, n);
        v = n > 1 ? cf_add(b, cf_argmax(b, v), cf_unknown(b, v)) : v; /* NaN has no largest */
        x = cf_concat(b, (cf_value[]){x, v}, 2);
        first += n;
    }
    return x;
}

static cf_status check(const cf_spec *spec) {
    bool any;
    CF_TRY(cf_categories_check(spec, &any));
    return any ? CF_OK : cf_fail(CF_INVALID, "Argmax: no column has more than one category");
}

static const cf_layer_methods methods = {.bind = bind,
                                         .forward = forward,
                                         .inverse = inverse,
                                         .reshape = reshape,
                                         .stochastic = true,
                                         .restricted_domain = true};

static const cf_option options[] = {
    {.name = "categories",
     .kinds = CF_OPTION_INTS,
     .required = true,
     .doc = "How many categories each column of x has: from 2 to 1024, of which the column holds a "
            "number from 0; or 1 for a column of real numbers, which passes as it is."},
};

const cf_spec_type cf_argmax_type = {
    .name = "Argmax",
    .role = "layer",
    .doc =
        "Columns of categories as the largest of real numbers, so that a flow's density bounds "
        "their\nprobability.\n\n"
        "``x_f = argmax_k v_fk``: u has as many features as there are categories in all. The other "
        "way ``v``\n"
        "is drawn from ``q(v|x)``, independent Gumbel variables around learned ``logits`` given "
        "which is the\n"
        "largest. As ``log P(x) >= E[log p(u) - log q(v|x)]``, ``log_prob`` is a lower bound with "
        "the noise of\n"
        "its ``seed``: a stochastic layer, whose ``log_det`` is ``-log q(v|x)``, and ``-inf`` "
        "where "
        "a number is\nno category. ``forward`` has no ``log_det``: NaN.\n\n"
        "References\n----------\n"
        "Hoogeboom et al. 2021, Argmax flows and multinomial diffusion, arXiv:2102.05379, section "
        "3,\nappendix A.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
