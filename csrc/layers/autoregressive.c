/* Autoregressive: a transform of each feature, with unconstrained parameters that a masked network
 * makes of the features before it (Papamakarios et al. 2017). One direction is one pass of the
 * network. The other goes feature by feature, and computes each unit of the network once: the units
 * that need no more than the first features come first (nn/dense.h). With an adjacency, the order
 * has parents before children, and units are kept from what they may not read. */
#include "base/memory.h"
#include "layers/adjacency.h"
#include "layers/conditioned.h"
#include "ops/ops.h"

#include <string.h>

typedef struct {
    cf_conditioned conditioned;
    bool parallel_forward;
    size_t param_count;     /* a feature */
    cf_permutation order;   /* indices: by rank, the feature; inverse: by feature, the rank */
    int64_t *param_indices; /* by unconstrained parameter in the transform's order: its index in the
                               network's outputs */
} autoregressive_state;

static cf_status bind_indices(const cf_layer *layer, cf_binding *binding,
                              autoregressive_state *state) {
    size_t n = layer->features;
    CF_TRY(cf_arena_alloc(binding->arena, &state->param_indices, n * state->param_count,
                          sizeof(int64_t)));
    for (size_t r = 0; r < n; r++) {
        size_t feature = (size_t)state->order.indices[r];
        for (size_t p = 0; p < state->param_count; p++)
            state->param_indices[p * n + feature] = (int64_t)(r * state->param_count + p);
    }
    return CF_OK;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    autoregressive_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    cf_features all, before;
    const unsigned char *reads;
    state->parallel_forward = strcmp(cf_spec_string(layer->spec, "parallel"), "forward") == 0;
    CF_TRY(cf_adjacency_bind(&state->order, layer, binding));
    CF_TRY(cf_adjacency_reads(&reads, layer, binding, &state->order));
    before = (cf_features){layer->features - 1, state->order.indices};
    CF_TRY(cf_every_feature(&all, layer, binding));
    CF_TRY(cf_conditioned_bind(&state->conditioned, layer, binding, before, all, true,
                               layer->features, reads));
    const cf_spec *transform = state->conditioned.transform.spec;
    state->param_count = cf_transform_methods_of(transform)->param_count(transform);
    CF_TRY(bind_indices(layer, binding, state));
    binding->layers++;
    return CF_OK;
}

/* The network reads the features x themselves. */
static cf_value apply_parallel(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                               bool inverse, cf_value *log_det) {
    const autoregressive_state *state = layer->state;
    size_t n = layer->features;
    cf_value before = cf_select(b, x, state->order.indices, n - 1);
    cf_value params = cf_conditioner_emit(&state->conditioned.conditioner[0], b, before, context);
    params = cf_select(b, params, state->param_indices, n * state->param_count);
    return cf_transform_apply(&state->conditioned.transform, b, x, params,
                              state->conditioned.transformed.feature, inverse, log_det);
}

typedef struct {
    cf_value *y;       /* transformed features, by rank */
    cf_value *log_det; /* theirs */
    cf_value *seen;    /* of the network */
} ranks;

/* The network reads the transformed features, as they become known. */
static void apply_ranks(const cf_layer *layer, cf_builder *b, const ranks *of, cf_value x,
                        cf_value context, bool inverse) {
    const autoregressive_state *state = layer->state;
    const cf_conditioner *conditioner = &state->conditioned.conditioner[0];
    for (size_t r = 0; r < layer->features && cf_builder_status(b) == CF_OK; r++) {
        cf_value last = r > 0 ? of->y[r - 1] : CF_NO_VALUE;
        cf_value params = cf_conditioner_emit_group(conditioner, b, of->seen, r, last, context);
        const int64_t *feature = &state->order.indices[r];
        cf_value own = cf_slice(b, x, (size_t)*feature, 1);
        of->y[r] = cf_transform_apply(&state->conditioned.transform, b, own, params, feature,
                                      inverse, &of->log_det[r]);
    }
}

static cf_value apply_sequential(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                                 bool inverse, cf_value *log_det) {
    const autoregressive_state *state = layer->state;
    size_t n = layer->features, networks = state->conditioned.conditioner[0].dense_layers;
    ranks of;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&of.y, 2 * n + networks, sizeof *of.y) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for an autoregressive layer");
    of.log_det = of.y + n;
    of.seen = of.log_det + n;
    apply_ranks(layer, b, &of, x, context, inverse);
    cf_value y = cf_select(b, cf_concat(b, of.y, n), state->order.inverse, n);
    cf_value log_dets = cf_concat(b, of.log_det, n);
    *log_det = cf_is_none(log_dets) ? log_dets : cf_sum_features(b, log_dets);
    cf_free(of.y);
    return y;
}

static cf_value apply(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                      bool inverse, cf_value *log_det) {
    const autoregressive_state *state = layer->state;
    bool parallel = layer->features == 1 || state->parallel_forward != inverse;
    return parallel ? apply_parallel(layer, b, x, context, inverse, log_det)
                    : apply_sequential(layer, b, x, context, inverse, log_det);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    return apply(layer, b, u, context, false, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    return apply(layer, b, x, context, true, log_det);
}

static const cf_layer_methods methods = {bind, forward, inverse};

static cf_status check(const cf_spec *spec) {
    const cf_setting *conditioner = cf_spec_get(spec, "conditioner");
    if (conditioner->kind == CF_OPTION_SPECS)
        return cf_fail(CF_INVALID, "Autoregressive: one conditioner, got a list of %zu",
                       conditioner->count);
    CF_TRY(cf_conditioned_check(spec));
    CF_TRY(cf_permutation_check(spec, "order"));
    return cf_adjacency_check(spec);
}

static const char *const orders[] = {"natural", "reverse", "random", NULL};
static const char *const directions[] = {"inverse", "forward", NULL};

static const cf_option options[] = {
    {.name = "order",
     .kinds = CF_OPTION_STRING | CF_OPTION_INTS,
     .default_value = CF_DEFAULT_STRING("natural"),
     .choices = orders,
     .doc = "Which feature comes first, second and so on: ``'natural'``, ``'reverse'``, "
            "``'random'`` (drawn from the flow's seed when it is bound) or a list of all indices."},
    {.name = "parallel",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("inverse"),
     .choices = directions,
     .doc = "The direction that is one pass of the network: ``'inverse'`` (MAF: densities) or "
            "``'forward'`` (IAF: samples). The other takes the features in turn."},
    CF_CONDITIONED_OPTIONS,
    CF_ADJACENCY_OPTIONS,
};

const cf_spec_type cf_autoregressive_type = {
    .name = "Autoregressive",
    .role = "layer",
    .doc =
        "A transform of each feature that the features before it set, through a masked network.\n\n"
        "``x_i = transform(u_i; param_i)`` with ``param_i`` a function of the context and of "
        "``x_j``,\n"
        "or with ``parallel='forward'`` ``u_j``, for all ``j`` before ``i`` in `order`; affine\n"
        "``x_i = u_i * scale_i + shift_i``. ``log_det`` is the sum of the logarithms of the\n"
        "derivatives. Both directions compute each unit of the network once, and leave out the "
        "masked\n"
        "blocks of its matrices. With an `adjacency`, ``param_i`` is a function of its parents "
        "alone,\n"
        "as in a causal graph. A new layer with an affine, additive or spline transform is "
        "the identity.\n\n"
        "References\n----------\n"
        "Papamakarios et al. 2017, Masked autoregressive flow, arXiv:1705.07057, equations 3 to "
        "5.\n"
        "Kingma et al. 2016, Inverse autoregressive flow, arXiv:1606.04934.\n"
        "Germain et al. 2015, MADE, arXiv:1502.03509.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
