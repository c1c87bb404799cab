/* Coupling: the identity features set, through a conditioner, an elementwise map of the others
 * (Dinh et al. 2015, 2017). */
#include "layers/conditioned.h"
#include "layers/mask.h"
#include "ops/ops.h"

typedef struct {
    cf_mask mask;
    cf_conditioned conditioned;
} coupling_state;

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    coupling_state *state;
    bool swap = cf_spec_int(layer->spec, "swap") && layer->features > 1;
    bool given = cf_spec_get(layer->spec, "mask")->kind == CF_OPTION_INTS;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    CF_TRY(cf_mask_read(&state->mask, layer, binding, "mask", swap));
    if (state->mask.transformed_count == 0)
        return cf_fail(CF_INVALID,
                       "Coupling: the mask keeps all %zu features and transforms none%s",
                       layer->features, given ? " (a mask of 0 and 1 must be boolean)" : "");
    binding->layers++;
    cf_features identity = {state->mask.identity_count, state->mask.identity};
    cf_features transformed = {state->mask.transformed_count, state->mask.transformed};
    return cf_conditioned_bind(&state->conditioned, layer, binding, identity, transformed,
                               state->mask.whole_channels, 1, NULL);
}

static cf_value apply(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                      bool inverse, cf_value *log_det) {
    const coupling_state *state = layer->state;
    const cf_mask *mask = &state->mask;
    cf_value identity = cf_select(b, x, mask->identity, mask->identity_count);
    cf_value transformed = cf_select(b, x, mask->transformed, mask->transformed_count);
    transformed = cf_conditioned_apply(&state->conditioned, b, transformed, identity, context,
                                       inverse, log_det);
    return cf_mask_merge(mask, b, identity, transformed);
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

static const char *const masks[] = {"half", "alternating", "checkerboard", NULL};

static const cf_option options[] = {
    {.name = "mask",
     .kinds = CF_OPTION_STRING | CF_OPTION_BOOLS | CF_OPTION_INTS,
     .default_value = CF_DEFAULT_STRING("half"),
     .choices = masks,
     .doc = "Which features, or channels of an image, are kept and condition the others: "
            "``'half'`` (the first half), ``'alternating'`` (every other, from the first), a "
            "boolean each, or a list of indices. Of an image also ``'checkerboard'`` (the pixels "
            "whose row and column have an even sum), or a boolean a feature."},
    {.name = "swap",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Keep the others instead. With one feature there is nothing to swap."},
    CF_CONDITIONED_OPTIONS,
};

const cf_spec_type cf_coupling_type = {
    .name = "Coupling",
    .role = "layer",
    .doc =
        "Coupling layer: some features are kept and set the map of the others.\n\n"
        "``x_kept = u_kept``; affine ``x_b = u_b * scale + shift``, ``log_det = "
        "sum(log(scale))``;\n"
        "additive ``x_b = u_b + shift``, ``log_det = 0``; or a `Spline` or another transform. "
        "Its unconstrained\n"
        "parameters are functions of ``u_kept`` and the context. Of images a convolutional "
        "conditioner reads\n"
        "the kept channels, or, where the mask is not of whole channels, all of them with zeros in "
        "place of\n"
        "what is not kept; an `MLP` reads the kept features in a row. A new coupling "
        "with an\n"
        "affine, additive or spline transform is the identity (with scales that are 1, and output "
        "activations\n"
        "that are 0, at 0).\n\n"
        "References\n----------\n"
        "Dinh et al. 2015, NICE, arXiv:1410.8516, equation 2.\n"
        "Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803, equations 4 to 8.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_conditioned_check,
    .methods = &methods,
};
