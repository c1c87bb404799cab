#include "dist/numbers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "ops/special.h"

static const char *name_of(const cf_spec *spec) {
    return cf_spec_type_of(spec)->name;
}

cf_status cf_numbers_read(const cf_base *base, const char *option, double default_value,
                          double *values) {
    const cf_setting *setting = cf_spec_get(base->spec, option);
    if (setting->kind != CF_NONE && setting->count != 1 && setting->count != base->features)
        return cf_fail(CF_INVALID, "%s: %s has %zu numbers, the flow has %zu features",
                       name_of(base->spec), option, setting->count, base->features);
    for (size_t f = 0; f < base->features; f++)
        values[f] =
            setting->kind == CF_NONE ? default_value : setting->reals[setting->count == 1 ? 0 : f];
    return CF_OK;
}

static cf_status bind_values(cf_numbers *out, cf_base *base, cf_binding *binding, double *values) {
    size_t n = base->features;
    for (size_t k = 0; k < out->kinds->count; k++) {
        const cf_number_kind *kind = &out->kinds->kinds[k];
        CF_TRY(cf_numbers_read(base, kind->name, kind->default_value, values + k * n));
    }
    if (!out->learned)
        return cf_bind_buffer(binding, out->kinds->buffer, out->kinds->count * n, values,
                              &out->buffer);
    for (size_t k = 0; k < out->kinds->count; k++) {
        const cf_number_kind *kind = &out->kinds->kinds[k];
        for (size_t f = 0; kind->positive && f < n; f++)
            values[k * n + f] = log(values[k * n + f]);
        CF_TRY(cf_bind_parameter_values(binding, kind->parameter, n, values + k * n,
                                        &out->parameter[k]));
    }
    return CF_OK;
}

cf_status cf_numbers_bind(cf_numbers *out, const cf_number_kinds *kinds, cf_base *base,
                          cf_binding *binding) {
    const cf_spec *conditioner = cf_spec_spec(base->spec, "conditioner");
    double *values;
    *out = (cf_numbers){.kinds = kinds,
                        .learned = cf_spec_int(base->spec, "learned") != 0,
                        .conditional = conditioner != NULL};
    if (out->conditional && base->context == 0)
        return cf_fail(CF_INVALID, "%s: a conditioner reads the context, and the flow has none",
                       name_of(base->spec));
    if (out->conditional)
        return cf_conditioner_bind(&out->conditioner, conditioner, binding, "conditioner",
                                   (cf_conditioner_sizes){.context = cf_vector(base->context),
                                                          .outputs = kinds->count * base->features,
                                                          .groups = 1},
                                   true);
    out->standard = !out->learned;
    for (size_t k = 0; k < kinds->count; k++)
        out->standard &= cf_spec_get(base->spec, kinds->kinds[k].name)->kind == CF_NONE;
    if (out->standard)
        return CF_OK;
    CF_TRY(cf_alloc(&values, kinds->count * base->features, sizeof *values));
    cf_status status = bind_values(out, base, binding, values);
    cf_free(values);
    return status;
}

cf_status cf_numbers_bind_state(const cf_number_kinds *kinds, cf_base *base, cf_binding *binding) {
    cf_numbers *numbers;
    CF_TRY(cf_arena_alloc(binding->arena, &numbers, 1, sizeof *numbers));
    base->state = numbers;
    return cf_numbers_bind(numbers, kinds, base, binding);
}

/* As the options give it. */
static cf_value emit_given(const cf_numbers *numbers, cf_builder *b, size_t k, size_t n) {
    if (numbers->standard)
        return cf_constant(b, CF_UNBATCHED, 1, numbers->kinds->kinds[k].default_value);
    return cf_buffer(b, numbers->buffer + k * n, n);
}

bool cf_numbers_are_given(const cf_numbers *numbers) {
    return !numbers->learned && !numbers->conditional;
}

void cf_numbers_emit(const cf_numbers *numbers, const cf_base *base, cf_builder *b,
                     cf_value context, cf_value *value) {
    size_t n = base->features;
    cf_value params = CF_NO_VALUE;
    if (numbers->conditional)
        params = cf_conditioner_emit(&numbers->conditioner, b, CF_NO_VALUE, context);
    for (size_t k = 0; k < numbers->kinds->count; k++) {
        if (numbers->conditional)
            value[k] = cf_slice(b, params, k * n, n);
        else if (numbers->learned)
            value[k] = cf_parameter(b, numbers->parameter[k], n);
        else
            value[k] = emit_given(numbers, b, k, n);
        if (cf_numbers_are_given(numbers) && numbers->kinds->kinds[k].positive)
            value[k] = cf_log(b, value[k]);
    }
}

cf_value cf_numbers_positive(const cf_numbers *numbers, const cf_base *base, cf_builder *b,
                             size_t kind, cf_value value) {
    return cf_numbers_are_given(numbers) ? emit_given(numbers, b, kind, base->features)
                                         : cf_exp(b, value);
}

cf_value cf_numbers_sum(cf_builder *b, cf_value value, size_t features) {
    if (cf_builder_status(b) == CF_OK && cf_value_size(b, value) == 1)
        return cf_scale_shift(b, value, (double)features, 0.0);
    return cf_sum_features(b, value);
}

cf_status cf_numbers_check(const cf_spec *spec, const cf_number_kinds *kinds) {
    bool given = cf_spec_int(spec, "learned") != 0;
    char names[64] = "";
    for (size_t k = 0; k < kinds->count; k++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", k > 0 ? ", " : "",
                 kinds->kinds[k].name);
        given |= cf_spec_get(spec, kinds->kinds[k].name)->kind != CF_NONE;
    }
    if (cf_spec_spec(spec, "conditioner") != NULL && given)
        return cf_fail(CF_INVALID, "%s: with a conditioner there is no %s or learned",
                       name_of(spec), names);
    for (size_t k = 0; k < kinds->count; k++) {
        const cf_number_kind *kind = &kinds->kinds[k];
        const cf_setting *setting = cf_spec_get(spec, kind->name);
        for (size_t i = 0; kind->positive && setting->kind != CF_NONE && i < setting->count; i++)
            if (!(setting->reals[i] > 0.0))
                return cf_fail(CF_INVALID, "%s: %s must be positive, got %g at index %zu",
                               name_of(spec), kind->name, setting->reals[i], i);
    }
    return CF_OK;
}
