#include "layers/conditioned.h"

#include <string.h>

#include "base/memory.h"
#include "ops/ops.h"

/* Sizes of a conditioner of so many unconstrained parameters a feature. */
static cf_status sizes_of(const cf_conditioned *given, const cf_layer *layer, const cf_spec *spec,
                          size_t params, cf_conditioner_sizes *out) {
    bool image = cf_conditioner_is_convolutional(spec);
    out->context = layer->context;
    out->shape = image ? given->in : cf_vector(given->inputs.count);
    size_t features = image ? cf_shape_features(given->out) : given->transformed.count;
    if (image && out->groups > 1)
        return cf_fail(CF_INVALID, "%s: a convolutional network cannot be masked, got %s",
                       cf_spec_type_of(layer->spec)->name, cf_spec_type_of(spec)->name);
    if (image && given->inputs.count == 0 && !layer->context.image)
        return cf_fail(CF_INVALID, "%s: no channel is kept for %s to read",
                       cf_spec_type_of(layer->spec)->name, cf_spec_type_of(spec)->name);
    if (image && out->periods != NULL)
        return cf_fail(CF_INVALID, "%s: a convolutional network cannot read circles, got %s",
                       cf_spec_type_of(layer->spec)->name, cf_spec_type_of(spec)->name);
    if (!cf_size_mul(params, features, &out->outputs))
        return cf_fail(CF_INVALID, "%s: too many unconstrained parameters",
                       cf_spec_type_of(layer->spec)->name);
    return CF_OK;
}

static cf_status bind_two(cf_conditioned *given, const cf_layer *layer, cf_binding *binding,
                          const cf_setting *pair) {
    const char *names[2] = {"scale_conditioner", "shift_conditioner"};
    given->conditioners = 2;
    for (size_t i = 0; i < 2; i++) {
        cf_conditioner_sizes sizes = {.groups = 1};
        CF_TRY(sizes_of(given, layer, pair->specs[i], 1, &sizes));
        CF_TRY(cf_conditioner_bind(&given->conditioner[i], pair->specs[i], binding, names[i], sizes,
                                   true));
    }
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

cf_status cf_network_spec(const cf_spec *layer, cf_spec **out) {
    const cf_setting *option = cf_spec_get(layer, "conditioner");
    if (option->kind == CF_NONE)
        return new_mlp(layer, out);
    *out = cf_spec_retain(option->specs[0]);
    return CF_OK;
}

cf_status cf_every_feature(cf_features *out, const cf_layer *layer, cf_binding *binding) {
    int64_t *list;
    CF_TRY(cf_arena_alloc(binding->arena, &list, layer->features, sizeof *list));
    for (size_t f = 0; f < layer->features; f++)
        list[f] = (int64_t)f;
    *out = (cf_features){layer->features, list};
    return CF_OK;
}

/* The periods of the features that a conditioner reads; NULL if none has one. */
static cf_status find_periods(const cf_spec *transform, cf_binding *binding, cf_features inputs,
                              const double **out) {
    double (*period)(const cf_spec *, int64_t) = cf_transform_methods_of(transform)->period;
    double *periods;
    bool any = false;
    *out = NULL;
    if (period == NULL)
        return CF_OK;
    CF_TRY(cf_arena_alloc(binding->arena, &periods, inputs.count, sizeof *periods));
    for (size_t i = 0; i < inputs.count; i++) {
        periods[i] = period(transform, inputs.feature[i]);
        any |= periods[i] > 0.0;
    }
    *out = any ? periods : NULL;
    return CF_OK;
}

/* The feature whose unconstrained parameters are group g of a masked network's outputs: the one
 * that input g is or, of the last group, the one that is no input. */
static int64_t feature_of_group(const cf_conditioned *given, size_t g) {
    int64_t rest = 0;
    if (g < given->inputs.count)
        return given->inputs.feature[g];
    for (size_t i = 0; i < given->transformed.count; i++)
        rest += given->transformed.feature[i];
    for (size_t i = 0; i < given->inputs.count; i++)
        rest -= given->inputs.feature[i];
    return rest;
}

/* Where the outputs start, such that the transform is the identity; NULL: at 0. */
static cf_status find_start(const cf_conditioned *given, size_t params, size_t outputs,
                            size_t groups, double **out) {
    const cf_transform_methods *methods = cf_transform_methods_of(given->transform.spec);
    size_t features = outputs / params;
    *out = NULL;
    if (methods->start == NULL)
        return CF_OK;
    CF_TRY(cf_alloc(out, outputs, sizeof **out));
    for (size_t i = 0; i < outputs; i++) {
        size_t p = groups > 1 ? i % params : i / features, f = i % features;
        int64_t feature = groups > 1 ? feature_of_group(given, i / params)
                          : features == given->transformed.count ? given->transformed.feature[f]
                                                                 : (int64_t)f;
        (*out)[i] = methods->start(given->transform.spec, feature, p);
    }
    return CF_OK;
}

static cf_status bind_one(cf_conditioned *given, const cf_layer *layer, cf_binding *binding,
                          size_t groups, const unsigned char *reads) {
    const cf_spec *transform = given->transform.spec;
    cf_conditioner_sizes sizes = {.groups = groups, .reads = reads};
    cf_spec *conditioner;
    CF_TRY(find_periods(transform, binding, given->inputs, &sizes.periods));
    CF_TRY(cf_network_spec(layer->spec, &conditioner));
    CF_TRY(cf_binding_keep(binding, conditioner));
    size_t params = cf_transform_methods_of(transform)->param_count(transform);
    double *start;
    CF_TRY(sizes_of(given, layer, conditioner, params, &sizes));
    CF_TRY(find_start(given, params, sizes.outputs, groups, &start));
    sizes.start = start;
    cf_status status = cf_conditioner_bind(&given->conditioner[0], conditioner, binding,
                                           "conditioner", sizes, true);
    cf_free(start);
    return status;
}

/* The images that a convolutional conditioner would read and give. */
static void find_images(cf_conditioned *given, const cf_layer *layer, bool whole_channels) {
    size_t pixels = cf_pixels(layer->shape);
    given->in = given->out = layer->shape;
    given->whole_image = !whole_channels;
    if (whole_channels) {
        given->in.channels = given->inputs.count / pixels;
        given->out.channels = given->transformed.count / pixels;
    }
}

cf_status cf_conditioned_bind(cf_conditioned *out, cf_layer *layer, cf_binding *binding,
                              cf_features inputs, cf_features transformed, bool whole_channels,
                              size_t groups, const unsigned char *reads) {
    const cf_setting *option = cf_spec_get(layer->spec, "conditioner");
    cf_spec *transform;
    size_t mark;
    *out = (cf_conditioned){.transformed = transformed, .inputs = inputs, .conditioners = 1};
    find_images(out, layer, whole_channels);
    CF_TRY(cf_transform_spec(layer->spec, &transform));
    CF_TRY(cf_binding_keep(binding, transform));
    if (cf_transform_methods_of(transform)->check_features != NULL)
        CF_TRY(cf_transform_methods_of(transform)->check_features(transform, layer->features));
    CF_TRY(cf_binding_enter(binding, "transform", -1, &mark));
    CF_TRY(cf_transform_bind(&out->transform, transform, binding, transformed));
    cf_binding_leave(binding, mark);
    if (option->kind == CF_OPTION_SPECS)
        return bind_two(out, layer, binding, option);
    return bind_one(out, layer, binding, groups, reads);
}

/* The image that has the inputs at their pixels, and zeros elsewhere. */
static cf_value scatter_inputs(const cf_conditioned *given, cf_builder *b, cf_value x) {
    const cf_features *inputs = &given->inputs, *transformed = &given->transformed;
    cf_value zero = cf_constant(b, CF_BATCHED, 1, 0.0);
    return cf_merge(b, x, inputs->feature, inputs->count, cf_repeat(b, zero, transformed->count),
                    transformed->feature, transformed->count);
}

/* Selects from the unconstrained parameters of all features of an image those of the transformed
 * ones. */
static cf_value select_transformed(const cf_conditioned *given, cf_builder *b, cf_value params) {
    const cf_features *transformed = &given->transformed;
    cf_value all = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_shape_features(given->out), numbers = cf_value_size(b, params) / features;
    for (size_t p = 0; p < numbers; p++) {
        cf_value of_all = cf_slice(b, params, p * features, features);
        cf_value some = cf_select(b, of_all, transformed->feature, transformed->count);
        all = cf_concat(b, (cf_value[]){all, some}, 2);
    }
    return all;
}

static cf_value emit_params(const cf_conditioned *given, const cf_conditioner *conditioner,
                            cf_builder *b, cf_value x, cf_value context) {
    bool whole_image = given->whole_image && cf_conditioner_is_convolutional(conditioner->spec);
    if (!whole_image)
        return cf_conditioner_emit(conditioner, b, x, context);
    x = scatter_inputs(given, b, x);
    return select_transformed(given, b, cf_conditioner_emit(conditioner, b, x, context));
}

cf_value cf_conditioned_apply(const cf_conditioned *given, cf_builder *b, cf_value u, cf_value x,
                              cf_value context, bool inverse, cf_value *log_det) {
    cf_value params[2] = {CF_NO_VALUE, CF_NO_VALUE};
    for (size_t i = 0; i < given->conditioners; i++)
        params[i] = emit_params(given, &given->conditioner[i], b, x, context);
    return cf_transform_apply(&given->transform, b, u, cf_concat(b, params, 2),
                              given->transformed.feature, inverse, log_det);
}

/* The name of the transform: 'affine' in short, or that of a spec's type. */
static const char *transform_name(const cf_spec *layer) {
    const cf_setting *option = cf_spec_get(layer, "transform");
    return option->kind == CF_OPTION_SPEC ? cf_spec_type_of(option->specs[0])->name
                                          : option->string;
}

static bool is_affine(const char *transform) {
    return strcmp(transform, "affine") == 0 ||
           strcmp(transform, cf_affine_transform_type.name) == 0;
}

cf_status cf_network_check(const cf_spec *layer) {
    if (cf_spec_get(layer, "conditioner")->kind != CF_NONE &&
        (cf_spec_get(layer, "hidden")->is_set || cf_spec_get(layer, "activation")->is_set))
        return cf_fail(CF_INVALID,
                       "%s: hidden and activation are the short form of a conditioner, give one "
                       "or the other",
                       cf_spec_type_of(layer)->name);
    return CF_OK;
}

cf_status cf_conditioned_check(const cf_spec *layer) {
    const cf_setting *conditioner = cf_spec_get(layer, "conditioner");
    const char *name = cf_spec_type_of(layer)->name, *transform = transform_name(layer);
    CF_TRY(cf_transform_check(layer));
    CF_TRY(cf_network_check(layer));
    if (conditioner->kind == CF_OPTION_SPECS && (conditioner->count != 2 || !is_affine(transform)))
        return cf_fail(CF_INVALID,
                       "%s: a list of conditioners is (scale, shift) of an affine transform, got "
                       "%zu for '%s'",
                       name, conditioner->count, transform);
    return CF_OK;
}
