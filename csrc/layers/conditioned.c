#include "layers/conditioned.h"

#include <string.h>

#include "base/memory.h"
#include "ops/ops.h"

static cf_status bind_two(cf_conditioned *given, const cf_layer *layer, cf_binding *binding,
                          const cf_setting *pair, size_t inputs) {
    const char *names[2] = {"scale_conditioner", "shift_conditioner"};
    given->conditioners = 2;
    for (size_t i = 0; i < 2; i++)
        CF_TRY(cf_conditioner_bind(&given->conditioner[i], pair->specs[i], binding, names[i],
                                   (cf_conditioner_sizes){.inputs = inputs,
                                                          .context = layer->context,
                                                          .outputs = given->moved.count,
                                                          .groups = 1},
                                   true));
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

static cf_status conditioner_spec(const cf_spec *layer, cf_spec **out) {
    const cf_setting *option = cf_spec_get(layer, "conditioner");
    if (option->kind == CF_NONE)
        return new_mlp(layer, out);
    *out = cf_spec_retain(option->specs[0]);
    return CF_OK;
}

cf_status cf_every_feature(cf_features *out, const cf_layer *layer, cf_binding *binding) {
    int64_t *list;
    CF_TRY(cf_pile_take(binding->pile, &list, layer->features, sizeof *list));
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
    CF_TRY(cf_pile_take(binding->pile, &periods, inputs.count, sizeof *periods));
    for (size_t i = 0; i < inputs.count; i++) {
        periods[i] = period(transform, inputs.feature[i]);
        any |= periods[i] > 0.0;
    }
    *out = any ? periods : NULL;
    return CF_OK;
}

static cf_status bind_one(cf_conditioned *given, const cf_layer *layer, cf_binding *binding,
                          cf_features inputs, size_t groups) {
    const cf_spec *transform = given->transform;
    cf_conditioner_sizes sizes = {
        .inputs = inputs.count, .context = layer->context, .groups = groups};
    cf_spec *conditioner;
    if (!cf_size_mul(cf_transform_methods_of(transform)->raw_count(transform), given->moved.count,
                     &sizes.outputs))
        return cf_fail(CF_INVALID, "%s: too many raw numbers", cf_spec_type_of(layer->spec)->name);
    CF_TRY(find_periods(transform, binding, inputs, &sizes.periods));
    CF_TRY(conditioner_spec(layer->spec, &conditioner));
    CF_TRY(cf_binding_keep(binding, conditioner));
    return cf_conditioner_bind(&given->conditioner[0], conditioner, binding, "conditioner", sizes,
                               true);
}

cf_status cf_conditioned_bind(cf_conditioned *out, cf_layer *layer, cf_binding *binding,
                              cf_features inputs, cf_features moved, size_t groups) {
    const cf_setting *option = cf_spec_get(layer->spec, "conditioner");
    cf_spec *transform;
    *out = (cf_conditioned){.moved = moved, .conditioners = 1};
    CF_TRY(cf_transform_spec(layer->spec, &transform));
    CF_TRY(cf_binding_keep(binding, transform));
    out->transform = transform;
    if (cf_transform_methods_of(transform)->check_features != NULL)
        CF_TRY(cf_transform_methods_of(transform)->check_features(transform, layer->features));
    if (option->kind == CF_OPTION_SPECS)
        return bind_two(out, layer, binding, option, inputs.count);
    return bind_one(out, layer, binding, inputs, groups);
}

cf_value cf_conditioned_apply(const cf_conditioned *given, cf_builder *b, cf_value u, cf_value x,
                              cf_value context, bool inverse, cf_value *log_det) {
    cf_value raw[2] = {CF_NO_VALUE, CF_NO_VALUE};
    for (size_t i = 0; i < given->conditioners; i++)
        raw[i] = cf_conditioner_emit(&given->conditioner[i], b, x, context);
    return cf_transform_methods_of(given->transform)
        ->apply(given->transform, b, u, cf_concat(b, raw, 2), given->moved.feature, inverse,
                log_det);
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

cf_status cf_conditioned_check(const cf_spec *layer) {
    const cf_setting *conditioner = cf_spec_get(layer, "conditioner");
    const char *name = cf_spec_type_of(layer)->name, *transform = transform_name(layer);
    CF_TRY(cf_transform_check(layer));
    if (conditioner->kind != CF_NONE &&
        (cf_spec_get(layer, "hidden")->given || cf_spec_get(layer, "activation")->given))
        return cf_fail(CF_INVALID,
                       "%s: hidden and activation are the short form of a conditioner, give one "
                       "or the other",
                       name);
    if (conditioner->kind == CF_OPTION_SPECS && (conditioner->count != 2 || !is_affine(transform)))
        return cf_fail(CF_INVALID,
                       "%s: a list of conditioners is (scale, shift) of an affine transform, got "
                       "%zu for '%s'",
                       name, conditioner->count, transform);
    return CF_OK;
}
