/* Split: some features are factored out to the base, the others go on through further layers: a
 * flow of several scales (Dinh et al. 2017, section 3.6). A Gaussian that is conditional on the
 * part that goes on is a standard one behind an affine coupling. */
#include "layers/chain.h"
#include "layers/mask.h"
#include "layers/positive_scale.h"
#include "ops/ops.h"

typedef struct {
    cf_mask mask;  /* identity: goes on */
    size_t layers; /* of the children; a coupling may follow them */
    size_t inner;  /* base features of the part that goes on */
} split_state;

/* The shape of the part that goes on. */
static cf_status identity_shape(const cf_spec *spec, cf_shape shape, cf_shape *identity) {
    size_t features, pixels = cf_pixels(shape);
    CF_TRY(cf_mask_count(spec, shape, "mask", cf_spec_int(spec, "swap") != 0, &features));
    if (features % pixels != 0)
        return cf_fail(CF_INVALID, "Split: the mask must keep whole channels");
    if (features == 0 || features == cf_shape_features(shape))
        return cf_fail(CF_INVALID, "Split: the mask keeps %zu of %zu %s: one part is empty",
                       features / pixels, shape.channels, shape.image ? "channels" : "features");
    *identity = shape;
    identity->channels = features / pixels;
    return CF_OK;
}

static cf_status reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    cf_shape inner;
    if (!to_base) /* the shape of an image does not follow from that of its latents */
        return shape->image ? cf_fail(CF_INVALID, "Split: its u is a vector, got an image") : CF_OK;
    CF_TRY(identity_shape(spec, *shape, &inner));
    size_t factored = cf_shape_features(*shape) - cf_shape_features(inner);
    CF_TRY(cf_chain_reshape(spec, true, &inner));
    *shape = cf_vector(factored + cf_shape_features(inner));
    return CF_OK;
}

static cf_status coupling_spec(const cf_spec *split, cf_spec **out) {
    static const char *const names[] = {"mask", "swap", "conditioner", "scale"};
    CF_TRY(cf_spec_new(out, &cf_coupling_type));
    cf_status status = CF_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == CF_OK; i++)
        status = cf_spec_set(*out, names[i], cf_spec_get(split, names[i]));
    if (status == CF_OK)
        status = cf_spec_finish(*out);
    if (status != CF_OK) {
        cf_spec_free(*out);
        *out = NULL;
    }
    return status;
}

static cf_status bind_coupling(cf_layer *layer, cf_binding *binding) {
    cf_spec *spec;
    size_t mark;
    if (cf_spec_spec(layer->spec, "conditioner") == NULL)
        return CF_OK;
    CF_TRY(coupling_spec(layer->spec, &spec));
    CF_TRY(cf_binding_keep(binding, spec));
    CF_TRY(cf_binding_enter(binding, "prior", -1, &mark));
    cf_status status = cf_layer_bind(&layer->child[layer->children++], spec, binding, layer->shape,
                                     layer->context);
    cf_binding_leave(binding, mark);
    return status;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    cf_shape inner;
    split_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    CF_TRY(identity_shape(layer->spec, layer->shape, &inner));
    CF_TRY(
        cf_mask_read(&state->mask, layer, binding, "mask", cf_spec_int(layer->spec, "swap") != 0));
    CF_TRY(cf_chain_bind(layer, binding, inner, layer->context, 1));
    state->layers = layer->children;
    CF_TRY(cf_chain_reshape(layer->spec, true, &inner));
    state->inner = cf_shape_features(inner);
    return bind_coupling(layer, binding);
}

static const cf_layer *coupling_of(const cf_layer *layer) {
    const split_state *state = layer->state;
    return layer->children > state->layers ? &layer->child[state->layers] : NULL;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const split_state *state = layer->state;
    const cf_mask *mask = &state->mask;
    cf_value transformed = cf_slice(b, u, 0, mask->transformed_count);
    cf_value identity = cf_slice(b, u, mask->transformed_count, state->inner), term;
    identity = cf_chain_forward(layer, b, identity, context, log_det);
    cf_value x = cf_mask_merge(mask, b, identity, transformed);
    if (coupling_of(layer) == NULL)
        return x;
    x = cf_layer_forward(coupling_of(layer), b, x, context, &term);
    *log_det = cf_add_optional(b, *log_det, term);
    return x;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const split_state *state = layer->state;
    const cf_mask *mask = &state->mask;
    if (coupling_of(layer) != NULL)
        x = cf_layer_inverse(coupling_of(layer), b, x, context, log_det);
    cf_value identity = cf_select(b, x, mask->identity, mask->identity_count);
    cf_value transformed = cf_select(b, x, mask->transformed, mask->transformed_count);
    identity = cf_chain_inverse(layer, b, identity, context, log_det);
    return cf_concat(b, (cf_value[]){transformed, identity}, 2);
}

static const cf_layer_methods methods = {
    .bind = bind, .forward = forward, .inverse = inverse, .reshape = reshape};

static const char *const masks[] = {"half", "alternating", NULL};

static const cf_option options[] = {
    {.name = "layers",
     .kinds = CF_OPTION_SPECS,
     .required = true,
     .spec_role = "layer",
     .doc = "The layers of the part that goes on, base to data."},
    {.name = "mask",
     .kinds = CF_OPTION_STRING | CF_OPTION_BOOLS | CF_OPTION_INTS,
     .default_value = CF_DEFAULT_STRING("half"),
     .choices = masks,
     .doc = "Which features, or channels of an image, are kept and go on, as of `Coupling`: "
            "``'half'`` (the first half), ``'alternating'``, a boolean each or a list of indices."},
    {.name = "swap",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Keep the others instead."},
    {.name = "conditioner",
     .kinds = CF_OPTION_SPEC | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .spec_role = "conditioner",
     .doc = "A network from the kept part to the scales and means of the Gaussian of the other, "
            "all scales, then all means; None is a standard one."},
    {.name = "scale",
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,
     .default_value = CF_DEFAULT_STRING("softclip"),
     .choices = cf_positive_scale_forms,
     .spec_role = "scale",
     .doc = "How the unconstrained scale becomes positive: a form of `Scale`, or a `Scale`."},
};

const cf_spec_type cf_split_type = {
    .name = "Split",
    .role = "layer",
    .doc = "Factors features out to the base, so that further layers see fewer: a flow of several "
           "scales.\n\n"
           "On the way to the base ``x`` is cut into ``h``, which is kept, and ``z``;\n"
           "``u = [(z - mean(h)) / scale(h), layers.inverse(h)]``, a vector in this order, with\n"
           "``log_det`` that of the layers less ``sum(log(scale))``. So ``z`` has the base's "
           "distribution or,\n"
           "with a conditioner and a normal base, a Gaussian that is conditional on ``h``. Splits "
           "nest: the last\n"
           "of the layers may begin with another.\n\n"
           "References\n----------\n"
           "Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803, section 3.6.\n"
           "Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, section 3.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};
