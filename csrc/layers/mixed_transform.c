/* A transform of its own for each feature: splines of angles beside those of lengths, say. */
#include "layers/transform.h"

#include "base/memory.h"
#include "ops/ops.h"

static size_t count_of(const cf_spec *mixed) {
    return cf_spec_get(mixed, "transforms")->count;
}

static const cf_spec *part(const cf_spec *mixed, size_t i) {
    return cf_spec_get(mixed, "transforms")->specs[i];
}

static size_t which(const cf_spec *mixed, int64_t feature) {
    return (size_t)cf_spec_get(mixed, "which")->integers[feature];
}

/* The maximum over the transforms: the others leave the rest unread. */
static size_t param_count(const cf_spec *mixed) {
    size_t max = 0;
    for (size_t i = 0; i < count_of(mixed); i++) {
        size_t count = cf_transform_methods_of(part(mixed, i))->param_count(part(mixed, i));
        max = count > max ? count : max;
    }
    return max;
}

static double start(const cf_spec *mixed, int64_t feature, size_t param) {
    const cf_spec *own = part(mixed, which(mixed, feature));
    const cf_transform_methods *methods = cf_transform_methods_of(own);
    return methods->start != NULL && param < methods->param_count(own)
               ? methods->start(own, feature, param)
               : 0.0;
}

static double period(const cf_spec *mixed, int64_t feature) {
    const cf_spec *own = part(mixed, which(mixed, feature));
    const cf_transform_methods *methods = cf_transform_methods_of(own);
    return methods->period != NULL ? methods->period(own, feature) : 0.0;
}

/* The state is the transforms, each bound to the features that have it. */
static cf_status bind_parts(const cf_spec *mixed, cf_transform *parts, cf_binding *binding,
                            cf_features transformed, int64_t *own) {
    for (size_t i = 0; i < count_of(mixed); i++) {
        size_t count = 0, mark;
        for (size_t f = 0; f < transformed.count; f++)
            if (which(mixed, transformed.feature[f]) == i)
                own[count++] = transformed.feature[f];
        if (count == 0)
            continue;
        CF_TRY(cf_binding_enter(binding, "transform", (long)i, &mark));
        CF_TRY(cf_transform_bind(&parts[i], part(mixed, i), binding, (cf_features){count, own}));
        cf_binding_leave(binding, mark);
    }
    return CF_OK;
}

static cf_status bind(cf_transform *mixed, cf_binding *binding, cf_features transformed) {
    cf_transform *parts;
    int64_t *own;
    CF_TRY(cf_arena_alloc(binding->arena, &parts, count_of(mixed->spec), sizeof *parts));
    CF_TRY(cf_alloc(&own, transformed.count, sizeof *own));
    mixed->state = parts;
    cf_status status = bind_parts(mixed->spec, parts, binding, transformed, own);
    cf_free(own);
    return status;
}

/* Lists for as many features as are transformed. */
typedef struct {
    int64_t *index;   /* of the features of one transform, among all */
    int64_t *feature; /* their numbers in the layer */
    int64_t *params;  /* indices of their unconstrained parameters */
    int64_t *back;    /* by feature: its index among those of all transforms, joined */
} lists;

/* The features that transform i has, and their unconstrained parameters; returns how many there
 * are. */
static size_t list_part(const cf_spec *mixed, size_t i, const int64_t *features, size_t n,
                        lists *of) {
    size_t count = 0,
           numbers = cf_transform_methods_of(part(mixed, i))->param_count(part(mixed, i));
    for (size_t f = 0; f < n; f++) {
        if (which(mixed, features[f]) != i)
            continue;
        of->index[count] = (int64_t)f;
        of->feature[count++] = features[f];
    }
    for (size_t p = 0; p < numbers; p++)
        for (size_t k = 0; k < count; k++)
            of->params[p * count + k] = (int64_t)(p * n) + of->index[k];
    return count;
}

static cf_value apply_parts(const cf_transform *mixed, cf_builder *b, cf_value u, cf_value params,
                            const int64_t *features, bool inverse, cf_value *log_det, lists *of) {
    const cf_transform *parts = mixed->state;
    cf_value all = CF_NO_VALUE;
    size_t n = cf_value_size(b, u), done = 0;
    for (size_t i = 0; i < count_of(mixed->spec) && cf_builder_status(b) == CF_OK; i++) {
        const cf_spec *own = part(mixed->spec, i);
        size_t count = list_part(mixed->spec, i, features, n, of);
        if (count == 0)
            continue;
        cf_value own_u = cf_select(b, u, of->index, count), own_log_det;
        cf_value own_params = cf_select(b, params, of->params,
                                        count * cf_transform_methods_of(own)->param_count(own));
        cf_value x =
            cf_transform_apply(&parts[i], b, own_u, own_params, of->feature, inverse, &own_log_det);
        for (size_t k = 0; k < count; k++)
            of->back[of->index[k]] = (int64_t)done++;
        all = cf_concat(b, (cf_value[]){all, x}, 2);
        *log_det = cf_add_optional(b, *log_det, own_log_det);
    }
    return cf_select(b, all, of->back, n);
}

static cf_value apply(const cf_transform *mixed, cf_builder *b, cf_value u, cf_value params,
                      const int64_t *features, bool inverse, cf_value *log_det) {
    lists of;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t n = cf_value_size(b, u);
    if (cf_alloc(&of.index, n, (3 + param_count(mixed->spec)) * sizeof *of.index) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a transform");
    of.feature = of.index + n;
    of.back = of.feature + n;
    of.params = of.back + n;
    cf_value x = apply_parts(mixed, b, u, params, features, inverse, log_det, &of);
    cf_free(of.index);
    return x;
}

static cf_status check_features(const cf_spec *mixed, size_t features) {
    size_t count = cf_spec_get(mixed, "which")->count;
    if (count != features)
        return cf_fail(CF_INVALID,
                       "MixedTransform: which has %zu numbers, the layer has %zu features", count,
                       features);
    return CF_OK;
}

/* Whether it is one, or one that is shifted. */
static bool is_mixed(const cf_spec *transform) {
    while (cf_spec_type_of(transform) == &cf_shifted_transform_type)
        transform = cf_spec_spec(transform, "transform");
    return cf_spec_type_of(transform) == &cf_mixed_transform_type;
}

static cf_status check(const cf_spec *mixed) {
    const cf_setting *numbers = cf_spec_get(mixed, "which");
    size_t count = count_of(mixed);
    if (count < 1 || count > 64)
        return cf_fail(CF_INVALID, "MixedTransform: from 1 to 64 transforms, got %zu", count);
    for (size_t i = 0; i < count; i++)
        if (is_mixed(part(mixed, i)))
            return cf_fail(CF_INVALID, "MixedTransform: a transform must not be mixed itself");
    for (size_t f = 0; f < numbers->count; f++)
        if (numbers->integers[f] < 0 || (uint64_t)numbers->integers[f] >= count)
            return cf_fail(
                CF_INVALID,
                "MixedTransform: which must number the %zu transforms from 0, got %lld at %zu",
                count, (long long)numbers->integers[f], f);
    return CF_OK;
}

static const cf_transform_methods methods = {.param_count = param_count,
                                             .apply = apply,
                                             .start = start,
                                             .period = period,
                                             .check_features = check_features,
                                             .bind = bind};

static const cf_option options[] = {
    {.name = "transforms",
     .kinds = CF_OPTION_SPECS,
     .required = true,
     .spec_role = "transform",
     .doc = "The transforms."},
    {.name = "which",
     .kinds = CF_OPTION_INTS,
     .required = true,
     .doc = "The number, from 0, of each feature's transform: of all features of the layer, those "
            "that a coupling keeps too."},
};

const cf_spec_type cf_mixed_transform_type = {
    .name = "MixedTransform",
    .role = "transform",
    .doc = "A transform of its own for each feature.\n\n"
           "Circular splines for angles beside splines with linear tails for lengths, say. "
           "Every feature has\n"
           "as many unconstrained parameters as the transform that has the most; what one does not "
           "read has "
           "gradient 0.\n``log_det`` is the sum over features, as of any transform.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
