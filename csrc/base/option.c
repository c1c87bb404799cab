/* What an option takes: kinds, choices, ranges. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/spec.h"

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
        if (setting->count > 1)
            snprintf(place, sizeof place, " at index %zu", i);
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
    bool numbers = setting->reals != NULL || setting->integers != NULL;
    for (size_t i = 0; option->range != NULL && numbers && i < setting->count; i++) {
        double value = setting->reals != NULL ? setting->reals[i] : (double)setting->integers[i];
        if (in_range(option->range, value))
            continue;
        if (setting->reals != NULL)
            print_real(number, sizeof number, value);
        else
            snprintf(number, sizeof number, "%lld", (long long)setting->integers[i]);
        if (setting->count > 1)
            snprintf(place, sizeof place, " at index %zu", i);
        cf_option_range(option, words);
        return cf_fail(CF_INVALID, "%s: %s must be %s, got %s%s", type->name, option->name, words,
                       number, place);
    }
    return CF_OK;
}

cf_status cf_option_convert(const cf_option *option, cf_setting *setting) {
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

cf_status cf_option_check(const cf_spec_type *type, const cf_option *option,
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
    return check_reals(type, option, setting);
}
