/* Coupling: the features that are kept set, through a conditioner, an elementwise map of the others
 * (Dinh et al. 2015, 2017). */
#include <string.h>

#include "base/memory.h"
#include "layers/layer.h"
#include "layers/scale.h"
#include "nn/conditioner.h"
#include "nn/dense.h"
#include "ops/ops.h"

typedef struct {
    size_t kept_count, moved_count;
    int64_t *kept,
        *moved; /* feature indices, ascending: those that condition, and those transformed */
    bool additive;
    size_t conditioners; /* 1: scale and shift from one network; 2: a network each */
    cf_conditioner conditioner[2];
    const cf_spec *scale;
} coupling_state;

/* keep[f] = whether the mask is True at f. */
static cf_status read_mask(const cf_layer *layer, unsigned char *keep) {
    const cf_setting *mask = cf_spec_get(layer->spec, "mask");
    size_t n = layer->features;
    if (mask->kind == CF_OPTION_STRING) {
        bool half = strcmp(mask->string, "half") == 0;
        for (size_t f = 0; f < n; f++)
            keep[f] = half ? f < n / 2 : f % 2 == 0;
        if (n == 1) /* nothing can condition: both names transform the one feature */
            keep[0] = 0;
    } else if (mask->kind == CF_OPTION_BOOLS) {
        if (mask->count != n)
            return cf_fail(CF_INVALID,
                           "Coupling: the mask has %zu entries, the flow has %zu features",
                           mask->count, n);
        for (size_t f = 0; f < n; f++)
            keep[f] = mask->integers[f] != 0;
    } else {
        for (size_t i = 0; i < mask->count; i++) {
            if (mask->integers[i] < 0 || (uint64_t)mask->integers[i] >= n)
                return cf_fail(CF_INVALID, "Coupling: mask index %lld, the flow has %zu features",
                               (long long)mask->integers[i], n);
            if (keep[mask->integers[i]])
                return cf_fail(CF_INVALID,
                               "Coupling: mask index %lld is repeated (a mask of 0 and 1 must be "
                               "boolean)",
                               (long long)mask->integers[i]);
            keep[mask->integers[i]] = 1;
        }
    }
    if (cf_spec_int(layer->spec, "swap") && n > 1)
        for (size_t f = 0; f < n; f++)
            keep[f] = !keep[f];
    return CF_OK;
}

static cf_status split_features(cf_layer *layer, cf_binding *binding, unsigned char *keep) {
    coupling_state *state = layer->state;
    CF_TRY(read_mask(layer, keep));
    CF_TRY(cf_pile_take(binding->pile, &state->kept, layer->features, sizeof *state->kept));
    CF_TRY(cf_pile_take(binding->pile, &state->moved, layer->features, sizeof *state->moved));
    for (size_t f = 0; f < layer->features; f++)
        if (keep[f])
            state->kept[state->kept_count++] = (int64_t)f;
        else
            state->moved[state->moved_count++] = (int64_t)f;
    if (state->moved_count == 0)
        return cf_fail(CF_INVALID, "Coupling: the mask keeps all %zu features and transforms none",
                       layer->features);
    return CF_OK;
}

static cf_status bind_two(cf_layer *layer, cf_binding *binding, const cf_setting *pair) {
    coupling_state *state = layer->state;
    const char *names[2] = {"scale_conditioner", "shift_conditioner"};
    state->conditioners = 2;
    for (size_t i = 0; i < 2; i++)
        CF_TRY(cf_conditioner_bind(&state->conditioner[i], pair->specs[i], binding, names[i],
                                   state->kept_count, layer->context, state->moved_count, true));
    return CF_OK;
}

/* The short form: an MLP of the options hidden and activation. */
static cf_status new_mlp(const cf_spec *spec, cf_spec **out) {
    CF_TRY(cf_spec_new(out, &cf_mlp_type));
    cf_status status = cf_spec_set(*out, "hidden", cf_spec_get(spec, "hidden"));
    if (status == CF_OK)
        status = cf_spec_set(*out, "activation", cf_spec_get(spec, "activation"));
    if (status == CF_OK)
        status = cf_spec_finish(*out);
    if (status != CF_OK) {
        cf_spec_free(*out);
        *out = NULL;
    }
    return status;
}

static cf_status bind_conditioners(cf_layer *layer, cf_binding *binding) {
    coupling_state *state = layer->state;
    const cf_setting *option = cf_spec_get(layer->spec, "conditioner");
    size_t outputs = state->additive ? state->moved_count : 2 * state->moved_count;
    cf_spec *spec;
    if (option->kind == CF_OPTION_SPECS)
        return bind_two(layer, binding, option);
    state->conditioners = 1;
    if (option->kind == CF_OPTION_SPEC) {
        spec = cf_spec_retain(option->specs[0]);
    } else {
        CF_TRY(new_mlp(layer->spec, &spec));
    }
    CF_TRY(cf_binding_keep(binding, spec));
    return cf_conditioner_bind(&state->conditioner[0], spec, binding, "conditioner",
                               state->kept_count, layer->context, outputs, true);
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    coupling_state *state;
    unsigned char *keep;
    cf_spec *scale;
    CF_TRY(cf_pile_take(binding->pile, &state, 1, sizeof *state));
    layer->state = state;
    state->additive = strcmp(cf_spec_string(layer->spec, "transform"), "additive") == 0;
    CF_TRY(cf_alloc(&keep, layer->features, 1));
    cf_status status = split_features(layer, binding, keep);
    cf_free(keep);
    CF_TRY(status);
    CF_TRY(cf_scale_spec(cf_spec_get(layer->spec, "scale"), &scale));
    CF_TRY(cf_binding_keep(binding, scale));
    state->scale = scale;
    binding->layers++;
    return bind_conditioners(layer, binding);
}

/* Raw scale (none if additive) and shift of the features that are transformed. */
static void emit_parameters(const cf_layer *layer, cf_builder *b, cf_value kept, cf_value context,
                            cf_value *raw, cf_value *shift) {
    const coupling_state *state = layer->state;
    cf_value first = cf_conditioner_emit(&state->conditioner[0], b, kept, context);
    if (state->conditioners == 2) {
        *raw = first;
        *shift = cf_conditioner_emit(&state->conditioner[1], b, kept, context);
    } else if (state->additive) {
        *shift = first;
    } else {
        *raw = cf_slice(b, first, 0, state->moved_count);
        *shift = cf_slice(b, first, state->moved_count, state->moved_count);
    }
}

static cf_value apply(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                      bool inverse, cf_value *log_det) {
    const coupling_state *state = layer->state;
    cf_value raw = CF_NO_VALUE, shift = CF_NO_VALUE;
    cf_value kept = cf_select(b, x, state->kept, state->kept_count);
    cf_value moved = cf_select(b, x, state->moved, state->moved_count);
    emit_parameters(layer, b, kept, context, &raw, &shift);
    if (state->additive)
        moved = inverse ? cf_subtract(b, moved, shift) : cf_add(b, moved, shift);
    else
        moved = cf_affine(b, moved, cf_log_scale(b, state->scale, raw), shift, inverse, log_det);
    return cf_merge(b, kept, state->kept, state->kept_count, moved, state->moved,
                    state->moved_count);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    return apply(layer, b, u, context, false, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    return apply(layer, b, x, context, true, log_det);
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *conditioner = cf_spec_get(spec, "conditioner");
    bool additive = strcmp(cf_spec_string(spec, "transform"), "additive") == 0;
    if (conditioner->kind != CF_NONE &&
        (cf_spec_get(spec, "hidden")->given || cf_spec_get(spec, "activation")->given))
        return cf_fail(CF_INVALID, "Coupling: hidden and activation are the short form of a "
                                   "conditioner, give one or the other");
    if (conditioner->kind == CF_OPTION_SPECS && (conditioner->count != 2 || additive))
        return cf_fail(CF_INVALID,
                       "Coupling: a list of conditioners is (scale, shift) of an affine "
                       "transform, got %zu for '%s'",
                       conditioner->count, cf_spec_string(spec, "transform"));
    return CF_OK;
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const char *const masks[] = {"half", "alternating", NULL};
static const char *const transforms[] = {"affine", "additive", NULL};

static const cf_option options[] = {
    {.name = "mask",
     .kinds = CF_OPTION_STRING | CF_OPTION_BOOLS | CF_OPTION_INTS,
     .fallback = CF_DEFAULT_STRING("half"),
     .choices = masks,
     .doc = "Which features are kept and condition the others: ``'half'`` (the first half), "
            "``'alternating'`` (every other, from the first), a boolean a feature, or a list of "
            "indices."},
    {.name = "swap",
     .kinds = CF_OPTION_BOOL,
     .fallback = CF_DEFAULT_BOOL(0),
     .doc = "Keep the others instead. With one feature there is nothing to swap."},
    {.name = "transform",
     .kinds = CF_OPTION_STRING,
     .fallback = CF_DEFAULT_STRING("affine"),
     .choices = transforms,
     .doc = "``'affine'`` (RealNVP) or ``'additive'`` (NICE)."},
    {.name = "conditioner",
     .kinds = CF_OPTION_SPEC | CF_OPTION_SPECS | CF_OPTIONAL,
     .fallback = CF_DEFAULT_NONE,
     .spec_role = "conditioner",
     .doc = "The network: one whose outputs are the raw scales, then the shifts, or a pair (scale, "
            "shift); None "
            "is ``MLP(hidden, activation)``."},
    {.name = "hidden",
     .kinds = CF_OPTION_INTS,
     .fallback = CF_DEFAULT_INTS(64, 64),
     .doc = "Hidden widths of the MLP."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .fallback = CF_DEFAULT_STRING("relu"),
     .choices = cf_activation_names,
     .doc = "Activation of the MLP."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .fallback = CF_DEFAULT_STRING("softclip"),
     .choices = cf_scale_forms,
     .spec_role = "scale",
     .doc = "How the raw scale becomes positive: a form of `Scale`, or a `Scale`. The default is "
            "``exp(a / (1 + |a| / log(1000)))``, between 1/1000 and 1000."},
};

const cf_spec_type cf_coupling_type = {
    .name = "Coupling",
    .role = "layer",
    .doc =
        "Coupling layer: some features are kept and set the map of the others.\n\n"
        "``x_kept = u_kept``; affine ``x_b = u_b * scale + shift``, ``log_det = "
        "sum(log(scale))``;\n"
        "additive ``x_b = u_b + shift``, ``log_det = 0``; scale and shift are functions of "
        "``u_kept``\n"
        "and the context. A new coupling is the identity (with scales that\n"
        "are 1 and output activations that are 0 at 0).\n\n"
        "References\n----------\n"
        "Dinh et al. 2015, NICE, arXiv:1410.8516, equation 2.\n"
        "Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803, equations 4 to 8.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
