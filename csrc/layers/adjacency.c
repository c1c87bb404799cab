#include "layers/adjacency.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { MAX_SHOWN = 8 }; /* features of a cycle in a message */

static size_t order_of_square(size_t count) {
    size_t n = 0;
    while (n * n < count)
        n++;
    return n;
}

static bool is_parent(const cf_setting *adjacency, size_t n, size_t feature, size_t other) {
    return feature != other && adjacency->integers[feature * n + other] != 0;
}

/* Whether all parents of the feature are placed, and it is not. */
static bool is_next(const cf_setting *adjacency, size_t n, size_t feature,
                    const unsigned char *placed) {
    for (size_t j = 0; j < n && !placed[feature]; j++)
        if (is_parent(adjacency, n, feature, j) && !placed[j])
            return false;
    return !placed[feature];
}

/* Lists the features with parents before children, and returns how many that is: fewer than n where
 * there is a cycle. placed: n zeros. */
static size_t sort(const cf_setting *adjacency, size_t n, int64_t *order, unsigned char *placed) {
    size_t count = 0;
    for (size_t f = 0; f < n;)
        if (is_next(adjacency, n, f, placed)) {
            placed[f] = 1;
            order[count++] = (int64_t)f;
            f = 0;
        } else {
            f++;
        }
    return count;
}

/* The first parent that is not placed; there is one. */
static size_t unplaced_parent(const cf_setting *adjacency, size_t n, size_t feature,
                              const unsigned char *placed) {
    size_t j = 0;
    while (!is_parent(adjacency, n, feature, j) || placed[j])
        j++;
    return j;
}

/* Each feature that could not be placed has a parent of that kind: to go from one to the next ends
 * in a cycle. */
static cf_status fail_of_cycle(const cf_spec *spec, const cf_setting *adjacency, size_t n,
                               const unsigned char *placed) {
    char words[512];
    size_t feature = 0, used = 0;
    while (placed[feature])
        feature++;
    for (size_t i = 0; i < n; i++)
        feature = unplaced_parent(adjacency, n, feature, placed);
    size_t first = feature, shown = 0;
    do {
        size_t parent = unplaced_parent(adjacency, n, feature, placed);
        const char *format = shown == 0 ? "feature %zu depends on %zu" : ", %zu on %zu";
        used += (size_t)snprintf(words + used, sizeof words - used, format, feature, parent);
        feature = parent;
    } while (feature != first && ++shown < MAX_SHOWN);
    return cf_fail(CF_INVALID, "%s: adjacency must have no cycle, got one: %s%s",
                   cf_spec_type_of(spec)->name, words, feature == first ? "" : " and so on");
}

static cf_status check_square(const cf_spec *spec, const cf_setting *adjacency, size_t n) {
    const char *name = cf_spec_type_of(spec)->name;
    if (adjacency->rows > 0 && (adjacency->rows != n || adjacency->count != n * n))
        return cf_fail(CF_INVALID,
                       "%s: adjacency must be square, features by features, got %zu x %zu", name,
                       adjacency->rows, adjacency->count / adjacency->rows);
    if (n * n != adjacency->count)
        return cf_fail(CF_INVALID,
                       "%s: adjacency must be square, features by features, got %zu numbers", name,
                       adjacency->count);
    return CF_OK;
}

cf_status cf_adjacency_check(const cf_spec *spec) {
    const cf_setting *adjacency = cf_spec_get(spec, "adjacency");
    const cf_setting *order = cf_spec_get(spec, "order");
    const char *name = cf_spec_type_of(spec)->name;
    size_t n = order_of_square(adjacency->count);
    int64_t *list;
    unsigned char *placed;
    if (adjacency->kind == CF_NONE)
        return CF_OK;
    CF_TRY(check_square(spec, adjacency, n));
    if (order->kind == CF_OPTION_STRING && strcmp(order->string, "random") == 0)
        return cf_fail(CF_INVALID,
                       "%s: with an adjacency, the order follows from it: leave out "
                       "order, or give one that agrees, got 'random'",
                       name);
    CF_TRY(cf_alloc(&list, n, sizeof *list + 1));
    placed = (unsigned char *)(list + n);
    memset(placed, 0, n);
    cf_status status = CF_OK;
    if (sort(adjacency, n, list, placed) < n)
        status = fail_of_cycle(spec, adjacency, n, placed);
    cf_free(list);
    return status;
}

/* Fails unless the option is of as many rows as there are features, and so many columns. */
static cf_status check_sizes(const cf_layer *layer, const char *name, size_t columns,
                             const char *of) {
    const cf_setting *matrix = cf_spec_get(layer->spec, name);
    const char *type = cf_spec_type_of(layer->spec)->name;
    size_t n = layer->features, rows = matrix->rows;
    if (matrix->kind == CF_NONE || (matrix->count == n * columns && (rows == 0 || rows == n)))
        return CF_OK;
    if (rows > 0)
        return cf_fail(CF_INVALID, "%s: %s must be %zu x %zu, features by %s, got %zu x %zu", type,
                       name, n, columns, of, rows, matrix->count / rows);
    return cf_fail(CF_INVALID, "%s: %s must be %zu x %zu, features by %s, got %zu numbers", type,
                   name, n, columns, of, matrix->count);
}

/* Fails if a feature comes before one of its parents. */
static cf_status check_order(const cf_layer *layer, const cf_permutation *order) {
    const cf_setting *adjacency = cf_spec_get(layer->spec, "adjacency");
    size_t n = layer->features;
    for (size_t f = 0; f < n; f++)
        for (size_t j = 0; j < n; j++)
            if (is_parent(adjacency, n, f, j) && order->inverse[j] > order->inverse[f])
                return cf_fail(CF_INVALID,
                               "%s: order must agree with the adjacency, by which feature %zu "
                               "depends on %zu, got one where %zu comes before %zu",
                               cf_spec_type_of(layer->spec)->name, f, j, f, j);
    return CF_OK;
}

/* Writes the order that follows from the adjacency into the layer's spec. */
static cf_status resolve_order(cf_layer *layer, cf_binding *binding) {
    int64_t *order;
    unsigned char *placed;
    size_t n = layer->features;
    CF_TRY(cf_arena_alloc(binding->arena, &order, n, sizeof *order));
    CF_TRY(cf_arena_alloc(binding->arena, &placed, n, 1));
    sort(cf_spec_get(layer->spec, "adjacency"), n, order, placed);
    cf_setting chosen = {.kind = CF_OPTION_INTS, .is_set = true, .count = n, .integers = order};
    return cf_layer_resolve(layer, binding, "order", &chosen);
}

cf_status cf_adjacency_bind(cf_permutation *out, cf_layer *layer, cf_binding *binding) {
    size_t context = cf_shape_features(layer->context);
    bool given = cf_spec_get(layer->spec, "adjacency")->kind != CF_NONE;
    if (cf_spec_get(layer->spec, "context_adjacency")->kind != CF_NONE && context == 0)
        return cf_fail(CF_INVALID, "%s: context_adjacency expects a context, and the flow has none",
                       cf_spec_type_of(layer->spec)->name);
    CF_TRY(check_sizes(layer, "adjacency", layer->features, "features"));
    CF_TRY(check_sizes(layer, "context_adjacency", context, "numbers of the context"));
    if (given && !cf_spec_get(layer->spec, "order")->is_set)
        CF_TRY(resolve_order(layer, binding));
    CF_TRY(cf_permutation_bind(out, layer, binding, "order", layer->features));
    return given ? check_order(layer, out) : CF_OK;
}

cf_status cf_adjacency_reads(const unsigned char **out, const cf_layer *layer, cf_binding *binding,
                             const cf_permutation *order) {
    const cf_setting *adjacency = cf_spec_get(layer->spec, "adjacency");
    const cf_setting *of_context = cf_spec_get(layer->spec, "context_adjacency");
    size_t n = layer->features, context = cf_shape_features(layer->context);
    size_t columns = context + n - 1;
    unsigned char *reads;
    *out = NULL;
    if (adjacency->kind == CF_NONE && of_context->kind == CF_NONE)
        return CF_OK;
    CF_TRY(cf_arena_alloc(binding->arena, &reads, n, columns > 0 ? columns : 1));
    for (size_t r = 0; r < n; r++) {
        size_t feature = (size_t)order->indices[r];
        for (size_t c = 0; c < context; c++)
            reads[r * columns + c] =
                of_context->kind == CF_NONE || of_context->integers[feature * context + c] != 0;
        for (size_t k = 0; k < r; k++)
            reads[r * columns + context + k] =
                adjacency->kind == CF_NONE ||
                is_parent(adjacency, n, feature, (size_t)order->indices[k]);
    }
    *out = reads;
    return CF_OK;
}
