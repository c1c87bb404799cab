/* Squeeze: pixels become channels, by re-ordering references or through Haar's wavelets. */
#include <string.h>

#include "base/memory.h"
#include "layers/layer.h"
#include "ops/ops.h"

typedef struct {
    bool haar;
    cf_shape squeezed;
    int64_t *indices; /* of the squeezed image, by feature: the feature of x */
    int64_t *inverse;
} squeeze_state;

static cf_status reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    size_t factor = (size_t)cf_spec_int(spec, "factor"), square = factor * factor;
    if (!shape->image)
        return cf_fail(CF_INVALID,
                       "Squeeze: it is of images, and there are vectors here: a flow of "
                       "images has a shape (channels, height, width)");
    if (to_base && (shape->height % factor != 0 || shape->width % factor != 0))
        return cf_fail(CF_INVALID,
                       "Squeeze: height and width must be multiples of %zu, got %zu x %zu", factor,
                       shape->height, shape->width);
    if (!to_base && shape->channels % square != 0)
        return cf_fail(CF_INVALID, "Squeeze: the channels must be a multiple of %zu, got %zu",
                       square, shape->channels);
    if (to_base)
        *shape = (cf_shape){shape->channels * square, shape->height / factor, shape->width / factor,
                            true};
    else
        *shape = (cf_shape){shape->channels / square, shape->height * factor, shape->width * factor,
                            true};
    return CF_OK;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    size_t n = layer->features, factor = (size_t)cf_spec_int(layer->spec, "factor");
    squeeze_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->haar = strcmp(cf_spec_string(layer->spec, "form"), "haar") == 0;
    state->squeezed = layer->shape;
    CF_TRY(reshape(layer->spec, true, &state->squeezed));
    CF_TRY(cf_arena_alloc(binding->arena, &state->indices, n, sizeof(int64_t)));
    CF_TRY(cf_arena_alloc(binding->arena, &state->inverse, n, sizeof(int64_t)));
    cf_squeeze_order(layer->shape, factor, state->indices);
    for (size_t f = 0; f < n; f++)
        state->inverse[state->indices[f]] = (int64_t)f;
    return CF_OK;
}

/* Of each 2 x 2 pixels a, b, c, d: (a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2,
 * (a - b - c + d) / 2; a matrix that is its own inverse, of determinant -1 or 1. */
static cf_value haar(const cf_layer *layer, cf_builder *b, cf_value squeezed) {
    const squeeze_state *state = layer->state;
    size_t pixels = cf_pixels(state->squeezed);
    cf_value all = CF_NO_VALUE;
    for (size_t c = 0; c < state->squeezed.channels; c += 4) {
        cf_value part[4];
        for (size_t i = 0; i < 4; i++)
            part[i] = cf_scale_shift(b, cf_slice(b, squeezed, (c + i) * pixels, pixels), 0.5, 0.0);
        cf_value left = cf_add(b, part[0], part[2]), right = cf_add(b, part[1], part[3]);
        cf_value falls = cf_subtract(b, part[0], part[2]);
        cf_value falls_right = cf_subtract(b, part[1], part[3]);
        all = cf_concat(b,
                        (cf_value[]){all, cf_add(b, left, right), cf_subtract(b, left, right),
                                     cf_add(b, falls, falls_right),
                                     cf_subtract(b, falls, falls_right)},
                        5);
    }
    return all;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const squeeze_state *state = layer->state;
    (void)context;
    (void)log_det;
    return cf_select(b, state->haar ? haar(layer, b, u) : u, state->inverse, layer->features);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const squeeze_state *state = layer->state;
    (void)context;
    (void)log_det;
    x = cf_select(b, x, state->indices, layer->features);
    return state->haar ? haar(layer, b, x) : x;
}

static cf_status check(const cf_spec *spec) {
    int64_t factor = cf_spec_int(spec, "factor");
    bool haar = strcmp(cf_spec_string(spec, "form"), "haar") == 0;
    if (factor < 2 || factor > 64)
        return cf_fail(CF_INVALID, "Squeeze: factor must be from 2 to 64, got %lld",
                       (long long)factor);
    if (haar && factor != 2)
        return cf_fail(CF_INVALID, "Squeeze: Haar's wavelets are of 2 x 2 pixels, got factor %lld",
                       (long long)factor);
    return CF_OK;
}

static const cf_layer_methods methods = {
    .bind = bind, .forward = forward, .inverse = inverse, .reshape = reshape};

static const char *const forms[] = {"pixels", "haar", NULL};

static const cf_option options[] = {
    {.name = "factor",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(2),
     .doc = "The side of the squares of pixels that become channels."},
    {.name = "form",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("pixels"),
     .choices = forms,
     .doc = "``'pixels'``, which costs nothing, or ``'haar'``: of each 2 x 2 pixels half the sum, "
            "then half of left less right, upper less lower, and one diagonal less the other."},
};

const cf_spec_type cf_squeeze_type = {
    .name = "Squeeze",
    .role = "layer",
    .doc = "On the way to the base, squares of pixels become channels; its `Inverse` is the "
           "unsqueeze.\n\n"
           "``u[:, f f c + f a + b, i, j] = x[:, c, f i + a, f j + b]`` with factor f, from "
           "``(n, channels,\n"
           "height, width)`` to ``(n, f f channels, height / f, width / f)``; ``'haar'`` then "
           "turns the four\n"
           "channels of each into Haar's wavelets, an orthogonal matrix. ``log_det = 0``.\n\n"
           "References\n----------\n"
           "Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803, section 3.6.\n"
           "Ardizzone et al. 2019, Guided image generation with conditional invertible neural "
           "networks,\n"
           "arXiv:1907.02392, section 3.3 (Haar).",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
