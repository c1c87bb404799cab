/* Features in another order: x_i = u_{indices[i]}. Its determinant is its sign, its log|det| is 0;
 * it adds no op. */
#include "layers/permutation.h"

#include <string.h>

#include "base/memory.h"
#include "base/philox.h"
#include "ops/ops.h"

int cf_permutation_sign(const int64_t *indices, size_t n, unsigned char *seen) {
    int sign = 1;
    memset(seen, 0, n);
    for (size_t i = 0; i < n; i++) {
        /* A cycle of length k is k - 1 transpositions. */
        for (size_t k = (size_t)indices[i]; !seen[i] && k != i; k = (size_t)indices[k]) {
            seen[k] = 1;
            sign = -sign;
        }
        seen[i] = 1;
    }
    return sign;
}

static cf_status check_indices(const char *layer, const int64_t *indices, size_t count,
                               unsigned char *seen) {
    memset(seen, 0, count);
    for (size_t i = 0; i < count; i++) {
        if (indices[i] < 0 || (uint64_t)indices[i] >= count)
            return cf_fail(CF_INVALID,
                           "%s: indices must be from 0 to %zu, got %lld at position %zu", layer,
                           count - 1, (long long)indices[i], i);
        if (seen[indices[i]])
            return cf_fail(CF_INVALID, "%s: index %lld is repeated at position %zu", layer,
                           (long long)indices[i], i);
        seen[indices[i]] = 1;
    }
    return CF_OK;
}

cf_status cf_permutation_check(const cf_spec *spec, const char *name) {
    const cf_setting *indices = cf_spec_get(spec, name);
    unsigned char *seen;
    if (indices->kind != CF_OPTION_INTS)
        return CF_OK;
    CF_TRY(cf_alloc(&seen, indices->count, 1));
    cf_status status =
        check_indices(cf_spec_type_of(spec)->name, indices->integers, indices->count, seen);
    cf_free(seen);
    return status;
}

/* In each channel the pixels whose row and column have an even sum, then the others. */
static void list_checkerboard(int64_t *indices, cf_shape shape) {
    for (size_t c = 0; c < shape.channels; c++)
        for (size_t odd = 0; odd < 2; odd++)
            for (size_t p = 0; p < cf_pixels(shape); p++)
                if ((p / shape.width + p % shape.width) % 2 == odd)
                    *indices++ = (int64_t)(c * cf_pixels(shape) + p);
}

static void list_named(int64_t *indices, const cf_layer *layer, const cf_binding *binding,
                       const char *order, size_t count) {
    bool reverse = strcmp(order, "reverse") == 0;
    for (size_t i = 0; i < count; i++)
        indices[i] = (int64_t)(reverse ? count - 1 - i : i);
    if (strcmp(order, "random") == 0)
        cf_philox_shuffle(indices, (int64_t)count, binding->seed, CF_STREAM_PERMUTATION,
                          binding->layers);
    if (strcmp(order, "checkerboard") == 0)
        list_checkerboard(indices, layer->shape);
}

static cf_status read_indices(int64_t *indices, cf_layer *layer, cf_binding *binding,
                              const char *name, size_t count) {
    const cf_setting *option = cf_spec_get(layer->spec, name);
    if (option->kind == CF_OPTION_INTS) {
        if (option->count != count)
            return cf_fail(CF_INVALID, "%s: %s must be %zu, as many as there are %s, got %zu",
                           cf_spec_type_of(layer->spec)->name, name, count,
                           count < layer->features ? "channels" : "features", option->count);
        memcpy(indices, option->integers, count * sizeof *indices);
        return CF_OK;
    }
    list_named(indices, layer, binding, option->string, count);
    cf_setting chosen = {
        .kind = CF_OPTION_INTS, .is_set = true, .count = count, .integers = indices};
    return cf_layer_resolve(layer, binding, name, &chosen);
}

cf_status cf_permutation_bind(cf_permutation *out, cf_layer *layer, cf_binding *binding,
                              const char *name, size_t count) {
    size_t n = layer->features, each = n / count;
    CF_TRY(cf_arena_alloc(binding->arena, &out->indices, n, sizeof(int64_t)));
    CF_TRY(cf_arena_alloc(binding->arena, &out->inverse, n, sizeof(int64_t)));
    CF_TRY(read_indices(out->indices, layer, binding, name, count));
    for (size_t i = n; each > 1 && i-- > 0;) /* from the end: in place */
        out->indices[i] = out->indices[i / each] * (int64_t)each + (int64_t)(i % each);
    for (size_t i = 0; i < n; i++)
        out->inverse[out->indices[i]] = (int64_t)i;
    return CF_OK;
}

static cf_status check(const cf_spec *spec) {
    return cf_permutation_check(spec, "indices");
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *indices = cf_spec_get(layer->spec, "indices");
    bool checkerboard =
        indices->kind == CF_OPTION_STRING && strcmp(indices->string, "checkerboard") == 0;
    bool pixels =
        checkerboard || (indices->kind == CF_OPTION_INTS && indices->count == layer->features);
    cf_permutation *state;
    if (checkerboard && !layer->shape.image)
        return cf_fail(CF_INVALID, "Permutation: a checkerboard is of an image, and the flow is of "
                                   "vectors: give it a shape (channels, height, width)");
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    CF_TRY(cf_permutation_bind(state, layer, binding, "indices",
                               pixels ? layer->features : layer->shape.channels));
    binding->layers++;
    return CF_OK;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const cf_permutation *state = layer->state;
    (void)context;
    (void)log_det;
    return cf_select(b, u, state->indices, layer->features);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const cf_permutation *state = layer->state;
    (void)context;
    (void)log_det;
    return cf_select(b, x, state->inverse, layer->features);
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const char *const names[] = {"reverse", "random", "checkerboard", NULL};

static const cf_option options[] = {
    {.name = "indices",
     .kinds = CF_OPTION_STRING | CF_OPTION_INTS,
     .default_value = CF_DEFAULT_STRING("reverse"),
     .choices = names,
     .doc = "``'reverse'``, ``'random'`` (drawn from the flow's seed when it is bound) or a list "
            "in which every index occurs once; of an image they are its channels'. Of images also "
            "a list of all features, or ``'checkerboard'``: in each channel the pixels whose row "
            "and column have an even sum, then the others."},
};

const cf_spec_type cf_permutation_type = {
    .name = "Permutation",
    .role = "layer",
    .doc = "Features in another order.\n\n"
           "``forward(u)[:, i] = u[:, indices[i]]``; the determinant is the permutation's sign,\n"
           "``(-1)**(number of transpositions)``, so ``log_det`` is 0. It costs nothing: features "
           "are\n"
           "re-referenced, not moved.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
