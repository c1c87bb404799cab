#include "base/spec.h"

#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"

/* Of specs within specs: more would be a mistake, and the functions that walk them recurse. */
enum { MAX_LEVELS = 100 };

struct cf_spec {
    const cf_spec_type *type;
    int levels; /* of specs within this one */
    bool finished;
    atomic_int holders;
    cf_setting *settings; /* by option; those that are set own their memory */
};

/* Frees what a setting owns. */
static void clear(cf_setting *setting) {
    if (!setting->is_set)
        return;
    cf_free((void *)setting->integers);
    cf_free((void *)setting->reals);
    cf_free((void *)setting->string);
    for (size_t i = 0; setting->specs != NULL && i < setting->count; i++)
        cf_spec_free(setting->specs[i]);
    cf_free((void *)setting->specs);
    *setting = (cf_setting){0};
}

cf_status cf_spec_new(cf_spec **out, const cf_spec_type *type) {
    *out = NULL;
    cf_spec *spec;
    CF_TRY(cf_alloc(&spec, 1, sizeof *spec));
    cf_status status = cf_alloc(&spec->settings, type->option_count, sizeof *spec->settings);
    if (status != CF_OK) {
        cf_free(spec);
        return status;
    }
    spec->type = type;
    atomic_init(&spec->holders, 1);
    for (size_t i = 0; i < type->option_count; i++) {
        spec->settings[i] = type->options[i].default_value;
        spec->settings[i].is_set = false;
    }
    *out = spec;
    return CF_OK;
}

static cf_status copy_array(const void *from, size_t count, size_t size, void *out) {
    void *copy = NULL;
    if (from != NULL) {
        CF_TRY(cf_alloc(&copy, count, size));
        memcpy(copy, from, count * size);
    }
    memcpy(out, &copy, sizeof copy);
    return CF_OK;
}

/* A deep copy that owns its memory. */
static cf_status copy_setting(const cf_setting *from, cf_setting *to) {
    *to =
        (cf_setting){.kind = from->kind, .is_set = true, .count = from->count, .rows = from->rows};
    cf_status status =
        copy_array(from->integers, from->count, sizeof *from->integers, &to->integers);
    if (status == CF_OK)
        status = copy_array(from->reals, from->count, sizeof *from->reals, &to->reals);
    if (status == CF_OK)
        status =
            copy_array(from->string, from->string ? strlen(from->string) + 1 : 0, 1, &to->string);
    if (status == CF_OK)
        status = copy_array(from->specs, from->count, sizeof *from->specs, &to->specs);
    if (status != CF_OK) {
        cf_free((void *)to->specs);
        to->specs = NULL;
        clear(to);
        return status;
    }
    for (size_t i = 0; to->specs != NULL && i < to->count; i++)
        cf_spec_retain(to->specs[i]);
    return CF_OK;
}

static const cf_option *find_option(const cf_spec_type *type, const char *name) {
    for (size_t i = 0; i < type->option_count; i++)
        if (strcmp(type->options[i].name, name) == 0)
            return &type->options[i];
    return NULL;
}

static cf_status check_specs(const cf_spec_type *type, const cf_option *option,
                             const cf_setting *setting) {
    for (size_t i = 0; setting->specs != NULL && i < setting->count; i++) {
        const char *role = setting->specs[i]->type->role;
        CF_TRY(cf_spec_check_finished(setting->specs[i]));
        if (strcmp(role, option->spec_role) != 0)
            return cf_fail(CF_TYPE, "%s: %s must be a %s, got %s, which is a %s", type->name,
                           option->name, option->spec_role, setting->specs[i]->type->name, role);
        if (setting->specs[i]->levels >= MAX_LEVELS)
            return cf_fail(CF_INVALID, "%s: %s nest deeper than %d levels", type->name,
                           option->name, MAX_LEVELS);
    }
    return CF_OK;
}

static int levels_within(const cf_spec *spec) {
    int levels = 0;
    for (size_t i = 0; i < spec->type->option_count; i++)
        for (size_t k = 0; spec->settings[i].specs != NULL && k < spec->settings[i].count; k++)
            if (spec->settings[i].specs[k]->levels >= levels)
                levels = spec->settings[i].specs[k]->levels + 1;
    return levels;
}

cf_status cf_spec_set(cf_spec *spec, const char *name, const cf_setting *setting) {
    const cf_option *option = find_option(spec->type, name);
    if (option == NULL)
        return cf_fail(CF_INVALID, "%s has no option '%.60s'", spec->type->name, name);
    if (spec->finished)
        return cf_fail(CF_INVALID, "%s: %s must be set before the spec is finished",
                       spec->type->name, name);
    cf_setting copy;
    CF_TRY(copy_setting(setting, &copy));
    cf_status status = cf_option_convert(option, &copy);
    if (status == CF_OK)
        status = cf_option_check(spec->type, option, &copy);
    if (status == CF_OK)
        status = check_specs(spec->type, option, &copy);
    if (status != CF_OK) {
        clear(&copy);
        return status;
    }
    cf_setting *replaced = &spec->settings[option - spec->type->options];
    clear(replaced);
    *replaced = copy;
    spec->levels = levels_within(spec);
    return CF_OK;
}

cf_status cf_spec_set_bool(cf_spec *spec, const char *name, bool value) {
    int64_t integer = value;
    return cf_spec_set(spec, name,
                       &(cf_setting){.kind = CF_OPTION_BOOL, .count = 1, .integers = &integer});
}

cf_status cf_spec_set_int(cf_spec *spec, const char *name, int64_t value) {
    return cf_spec_set(spec, name,
                       &(cf_setting){.kind = CF_OPTION_INT, .count = 1, .integers = &value});
}

cf_status cf_spec_set_real(cf_spec *spec, const char *name, double value) {
    return cf_spec_set(spec, name,
                       &(cf_setting){.kind = CF_OPTION_REAL, .count = 1, .reals = &value});
}

cf_status cf_spec_set_string(cf_spec *spec, const char *name, const char *value) {
    if (value == NULL)
        return cf_spec_set(spec, name, &(cf_setting){.kind = CF_NONE});
    return cf_spec_set(spec, name,
                       &(cf_setting){.kind = CF_OPTION_STRING, .count = 1, .string = value});
}

cf_status cf_spec_set_bools(cf_spec *spec, const char *name, const bool *values, size_t count) {
    int64_t *integers;
    CF_TRY(cf_alloc(&integers, count, sizeof *integers));
    for (size_t i = 0; i < count; i++)
        integers[i] = values[i];
    cf_status status = cf_spec_set(
        spec, name, &(cf_setting){.kind = CF_OPTION_BOOLS, .count = count, .integers = integers});
    cf_free(integers);
    return status;
}

cf_status cf_spec_set_ints(cf_spec *spec, const char *name, const int64_t *values, size_t count) {
    return cf_spec_set(spec, name,
                       &(cf_setting){.kind = CF_OPTION_INTS, .count = count, .integers = values});
}

cf_status cf_spec_set_reals(cf_spec *spec, const char *name, const double *values, size_t count) {
    return cf_spec_set(spec, name,
                       &(cf_setting){.kind = CF_OPTION_REALS, .count = count, .reals = values});
}

cf_status cf_spec_set_spec(cf_spec *spec, const char *name, cf_spec *value) {
    if (value == NULL)
        return cf_spec_set(spec, name, &(cf_setting){.kind = CF_NONE});
    return cf_spec_set(spec, name,
                       &(cf_setting){.kind = CF_OPTION_SPEC, .count = 1, .specs = &value});
}

cf_status cf_spec_set_specs(cf_spec *spec, const char *name, cf_spec *const *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (values[i] == NULL)
            return cf_fail(CF_INVALID, "%s: %s has NULL at %zu", spec->type->name, name, i);
    return cf_spec_set(spec, name,
                       &(cf_setting){.kind = CF_OPTION_SPECS, .count = count, .specs = values});
}

cf_status cf_spec_finish(cf_spec *spec) {
    for (size_t i = 0; i < spec->type->option_count; i++)
        if (spec->type->options[i].required && !spec->settings[i].is_set)
            return cf_fail(CF_TYPE, "%s: %s is missing", spec->type->name,
                           spec->type->options[i].name);
    if (spec->type->check != NULL)
        CF_TRY(spec->type->check(spec));
    spec->finished = true;
    return CF_OK;
}

cf_status cf_spec_check_finished(const cf_spec *spec) {
    if (!spec->finished)
        return cf_fail(CF_INVALID, "%s must be finished before it is used", spec->type->name);
    return CF_OK;
}

cf_spec *cf_spec_retain(const cf_spec *spec) {
    cf_spec *held = (cf_spec *)spec; /* the count of holders is not part of its value */
    atomic_fetch_add(&held->holders, 1);
    return held;
}

void cf_spec_free(cf_spec *spec) {
    if (spec == NULL || atomic_fetch_sub(&spec->holders, 1) > 1)
        return;
    for (size_t i = 0; i < spec->type->option_count; i++)
        clear(&spec->settings[i]);
    cf_free(spec->settings);
    cf_free(spec);
}

const cf_spec_type *cf_spec_type_of(const cf_spec *spec) {
    return spec->type;
}

static bool equal_settings(const cf_setting *a, const cf_setting *b) {
    if (a->kind != b->kind || a->kind == CF_NONE)
        return a->kind == b->kind;
    if (a->kind == CF_OPTION_STRING)
        return strcmp(a->string, b->string) == 0;
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = (a->integers == NULL || a->integers[i] == b->integers[i]) &&
                (a->reals == NULL || a->reals[i] == b->reals[i]) &&
                (a->specs == NULL || cf_spec_equal(a->specs[i], b->specs[i]));
    return equal;
}

bool cf_spec_equal(const cf_spec *a, const cf_spec *b) {
    bool equal = a->type == b->type;
    for (size_t i = 0; equal && a != b && i < a->type->option_count; i++)
        equal = equal_settings(&a->settings[i], &b->settings[i]);
    return equal;
}

const cf_setting *cf_spec_get(const cf_spec *spec, const char *name) {
    return &spec->settings[find_option(spec->type, name) - spec->type->options];
}

int64_t cf_spec_int(const cf_spec *spec, const char *name) {
    return cf_spec_get(spec, name)->integers[0];
}

double cf_spec_real(const cf_spec *spec, const char *name) {
    return cf_spec_get(spec, name)->reals[0];
}

const char *cf_spec_string(const cf_spec *spec, const char *name) {
    return cf_spec_get(spec, name)->string;
}

cf_spec *cf_spec_spec(const cf_spec *spec, const char *name) {
    const cf_setting *setting = cf_spec_get(spec, name);
    return setting->specs != NULL ? setting->specs[0] : NULL;
}
