#include "base/spec.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Specs within specs: more would be a mistake, and what walks them recurses. */
enum { MOST_LEVELS = 100 };

struct cf_spec {
    const cf_spec_type *type;
    int levels; /* of specs within this one */
    bool finished;
    atomic_int holders;
    cf_setting *settings; /* by option; those given own their memory */
};

/* Frees what a given setting owns. */
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
    *to = (cf_setting){.kind = from->kind, .is_set = true, .count = from->count};
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

static const char *kind_name(unsigned kind) {
    switch (kind) {
    case CF_NONE:
        return "None";
    case CF_OPTION_BOOL:
        return "a bool";
    case CF_OPTION_INT:
        return "an int";
    case CF_OPTION_REAL:
        return "a number";
    case CF_OPTION_STRING:
        return "a string";
    case CF_OPTION_INTS:
        return "a list of ints";
    case CF_OPTION_REALS:
        return "a list of numbers";
    case CF_OPTION_BOOLS:
        return "a list of bools";
    case CF_OPTION_SPEC:
        return "one layer or part";
    default:
        return "a list of layers or parts";
    }
}

static const cf_option *find_option(const cf_spec_type *type, const char *name) {
    for (size_t i = 0; i < type->option_count; i++)
        if (strcmp(type->options[i].name, name) == 0)
            return &type->options[i];
    return NULL;
}

static cf_status check_choice(const cf_spec_type *type, const cf_option *option,
                              const char *string) {
    char list[256] = "";
    for (const char *const *choice = option->choices; choice != NULL && *choice != NULL; choice++) {
        if (strcmp(*choice, string) == 0)
            return CF_OK;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s'%s'", used > 0 ? ", " : "", *choice);
    }
    if (option->choices == NULL)
        return CF_OK;
    return cf_fail(CF_INVALID, "%s: %s must be one of %s, got '%.60s'", type->name, option->name,
                   list, string);
}

static cf_status check_reals(const cf_spec_type *type, const cf_option *option,
                             const cf_setting *setting) {
    for (size_t i = 0; setting->reals != NULL && i < setting->count; i++) {
        char place[32] = "";
        if (option->kinds & CF_OPTION_REALS)
            snprintf(place, sizeof place, " at %zu", i);
        if (!isfinite(setting->reals[i]))
            return cf_fail(CF_INVALID, "%s: %s must be finite, got %g%s", type->name, option->name,
                           setting->reals[i], place);
    }
    return CF_OK;
}

void cf_option_range(const cf_option *option, char words[CF_RANGE_WORDS]) {
    const cf_range *range = option->range;
    words[0] = '\0';
    if (range == NULL)
        return;
    double low = range->minimum, high = range->maximum;
    bool real = (option->kinds & (CF_OPTION_REAL | CF_OPTION_REALS)) != 0;
    if (isinf(high) && range->above_minimum && low == 0.0)
        snprintf(words, CF_RANGE_WORDS, "positive%s", real ? " and finite" : "");
    else if (isinf(high))
        snprintf(words, CF_RANGE_WORDS, range->above_minimum ? "above %g%s" : "%g or more%s", low,
                 real ? ", and finite" : "");
    else if (range->above_minimum && range->below_maximum)
        snprintf(words, CF_RANGE_WORDS, "between %g and %g", low, high);
    else if (range->above_minimum)
        snprintf(words, CF_RANGE_WORDS, "above %g and at most %g", low, high);
    else
        snprintf(words, CF_RANGE_WORDS,
                 range->below_maximum ? "from %g to below %g" : "from %g to %g", low, high);
}

static bool in_range(const cf_range *range, double value) {
    bool low = range->above_minimum ? value > range->minimum : value >= range->minimum;
    bool high = range->below_maximum ? value < range->maximum : value <= range->maximum;
    return low && high && isfinite(value);
}

/* The fewest digits that tell a number from all others. */
static void print_real(char *out, size_t size, double value) {
    int digits = 6;
    do
        snprintf(out, size, "%.*g", digits, value);
    while (strtod(out, NULL) != value && digits++ < 17);
}

static cf_status check_range(const cf_spec_type *type, const cf_option *option,
                             const cf_setting *setting) {
    char words[CF_RANGE_WORDS], number[32], place[32] = "";
    bool list = (option->kinds & (CF_OPTION_REALS | CF_OPTION_INTS)) != 0;
    bool numbers = setting->reals != NULL || setting->integers != NULL;
    for (size_t i = 0; option->range != NULL && numbers && i < setting->count; i++) {
        double value = setting->reals != NULL ? setting->reals[i] : (double)setting->integers[i];
        if (in_range(option->range, value))
            continue;
        if (setting->reals != NULL)
            print_real(number, sizeof number, value);
        else
            snprintf(number, sizeof number, "%lld", (long long)setting->integers[i]);
        if (list)
            snprintf(place, sizeof place, " at %zu", i);
        cf_option_range(option, words);
        return cf_fail(CF_INVALID, "%s: %s must be %s, got %s%s", type->name, option->name, words,
                       number, place);
    }
    return CF_OK;
}

static cf_status check_specs(const cf_spec_type *type, const cf_option *option,
                             const cf_setting *setting) {
    for (size_t i = 0; setting->specs != NULL && i < setting->count; i++) {
        const char *role = setting->specs[i]->type->role;
        CF_TRY(cf_spec_check_finished(setting->specs[i]));
        if (strcmp(role, option->spec_role) != 0)
            return cf_fail(CF_TYPE, "%s: %s must be a %s, got %s, which is a %s", type->name,
                           option->name, option->spec_role, setting->specs[i]->type->name, role);
        if (setting->specs[i]->levels >= MOST_LEVELS)
            return cf_fail(CF_INVALID, "%s: %s nest deeper than %d levels", type->name,
                           option->name, MOST_LEVELS);
    }
    return CF_OK;
}

/* Turns ints into reals where only those are wanted, and -0 into 0 where there is a range: equal
 * numbers are to look the same. */
static cf_status convert(const cf_option *option, cf_setting *setting) {
    for (size_t i = 0; option->range != NULL && setting->reals != NULL && i < setting->count; i++)
        ((double *)setting->reals)[i] += 0.0;
    unsigned kinds = option->kinds;
    bool single = setting->kind == CF_OPTION_INT && (kinds & CF_OPTION_REAL);
    bool list = setting->kind == CF_OPTION_INTS && (kinds & CF_OPTION_REALS);
    if (kinds & (unsigned)setting->kind || (!single && !list))
        return CF_OK;
    double *reals;
    CF_TRY(cf_alloc(&reals, setting->count, sizeof *reals));
    for (size_t i = 0; i < setting->count; i++)
        reals[i] = (double)setting->integers[i];
    cf_free((void *)setting->integers);
    setting->integers = NULL;
    setting->reals = reals;
    setting->kind = single ? CF_OPTION_REAL : CF_OPTION_REALS;
    return CF_OK;
}

static cf_status check_setting(const cf_spec_type *type, const cf_option *option,
                               const cf_setting *setting) {
    bool allowed = setting->kind == CF_NONE ? (option->kinds & CF_OPTIONAL) != 0
                                            : (option->kinds & (unsigned)setting->kind) != 0;
    if (!allowed) {
        char wanted[160] = "";
        for (unsigned kind = CF_OPTION_BOOL; kind <= CF_OPTION_SPEC; kind <<= 1) {
            size_t used = strlen(wanted);
            if (option->kinds & kind)
                snprintf(wanted + used, sizeof wanted - used, "%s%s", used > 0 ? " or " : "",
                         kind_name(kind));
        }
        return cf_fail(CF_TYPE, "%s: %s must be %s, got %s", type->name, option->name, wanted,
                       kind_name(setting->kind));
    }
    if (setting->kind == CF_OPTION_STRING)
        CF_TRY(check_choice(type, option, setting->string));
    CF_TRY(check_range(type, option, setting));
    CF_TRY(check_reals(type, option, setting));
    return check_specs(type, option, setting);
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
    cf_status status = convert(option, &copy);
    if (status == CF_OK)
        status = check_setting(spec->type, option, &copy);
    if (status != CF_OK) {
        clear(&copy);
        return status;
    }
    cf_setting *place = &spec->settings[option - spec->type->options];
    clear(place);
    *place = copy;
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
    cf_spec *held = (cf_spec *)spec; /* the count of holders is no part of what it says */
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
