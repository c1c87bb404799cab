/* The numbers of a base, one of each kind a feature: given by options, learned, or set by a network
 * from the context. */
#ifndef CF_DIST_NUMBERS_H
#define CF_DIST_NUMBERS_H

#include "dist/base.h"
#include "nn/conditioner.h"

enum { CF_MAX_NUMBERS = 2 };

typedef struct {
    const char *name;      /* of the option */
    const char *parameter; /* that is learned: of a positive number its logarithm */
    double default_value;
    bool positive;
} cf_number_kind;

typedef struct {
    size_t count;
    const cf_number_kind *kinds;
    const char *buffer; /* the name of those given: all of the first kind, then of the second */
} cf_number_kinds;

typedef struct {
    const cf_number_kinds *kinds;
    bool standard, learned, conditional; /* standard: no option gives one */
    size_t parameter[CF_MAX_NUMBERS];    /* if learned */
    size_t buffer;                       /* if neither learned nor conditional nor standard */
    cf_conditioner conditioner;          /* of all parameters, if conditional */
} cf_numbers;

/* Reads the options of the kinds, `learned` and `conditioner`. */
cf_status cf_numbers_bind(cf_numbers *out, const cf_number_kinds *kinds, cf_base *base,
                          cf_binding *binding);

/* The same, of a base whose state they are. */
cf_status cf_numbers_bind_state(const cf_number_kinds *kinds, cf_base *base, cf_binding *binding);

/* Whether options give them, or they have their defaults. */
bool cf_numbers_are_given(const cf_numbers *numbers);

/* One value a kind: the number, of a positive one its logarithm. */
void cf_numbers_emit(const cf_numbers *numbers, const cf_base *base, cf_builder *b,
                     cf_value context, cf_value *value);

/* The number itself, of a positive one that was emitted as `value`, by its index among the kinds:
 * what is given is not rounded by way of its logarithm. */
cf_value cf_numbers_positive(const cf_numbers *numbers, const cf_base *base, cf_builder *b,
                             size_t kind, cf_value value);

/* What an option says, a number for each feature: one may stand for all, and the default for None.
 * CF_INVALID if it has as many as there are neither. */
cf_status cf_numbers_read(const cf_base *base, const char *option, double default_value,
                          double *values);

cf_status cf_numbers_check(const cf_spec *spec, const cf_number_kinds *kinds);

/* The sum over all features of a value that may be one for each, or one for all. */
cf_value cf_numbers_sum(cf_builder *b, cf_value value, size_t features);

/* Lines of a base's table of options. */
#define CF_NUMBER_OPTION(option, text)                                                             \
    {                                                                                              \
        .name = option, .kinds = CF_OPTION_REAL | CF_OPTION_REALS | CF_OPTIONAL,                   \
        .default_value = CF_DEFAULT_NONE, .doc = text                                              \
    }

#define CF_LEARNED_OPTION(text)                                                                    \
    { .name = "learned", .kinds = CF_OPTION_BOOL, .default_value = CF_DEFAULT_BOOL(0), .doc = text }

#define CF_CONDITIONER_OPTION(text)                                                                \
    {                                                                                              \
        .name = "conditioner", .kinds = CF_OPTION_SPEC | CF_OPTIONAL,                              \
        .default_value = CF_DEFAULT_NONE, .spec_role = "conditioner", .doc = text                  \
    }

#endif
