/* Specs: descriptions of layers, their parts, optimisers and schedules, before they are bound to
 * sizes.
 *
 * A type declares its options in one table, from which the setters here, the Python constructor,
 * its signature and docstring, the repr and the model file all derive. A spec is checked when it is
 * finished, immutable from then on, and reference-counted. cflows.h has the functions for its
 * users.
 */
#ifndef CF_BASE_SPEC_H
#define CF_BASE_SPEC_H

#include "base/status.h"

typedef enum {
    CF_NONE = 0,
    CF_OPTION_BOOL = 1,
    CF_OPTION_INT = 2,
    CF_OPTION_REAL = 4,
    CF_OPTION_STRING = 8,
    CF_OPTION_INTS = 16,
    CF_OPTION_REALS = 32,
    CF_OPTION_BOOLS = 64, /* kept as integers 0 and 1 */
    CF_OPTION_SPECS = 128,
    CF_OPTION_SPEC = 256, /* kept as a list of one */
} cf_setting_kind;

/* The value of an option. */
typedef struct {
    cf_setting_kind kind;
    bool is_set;             /* set by the user, not the default */
    size_t count;            /* of a list; 1 for a single value */
    size_t rows;             /* of a list that was given as a matrix, else 0; not kept in files */
    const int64_t *integers; /* bool, int and their lists */
    const double *reals;
    const char *string;
    cf_spec *const *specs;
} cf_setting;

/* What the numbers of an option may be. Reals are finite anyway. */
typedef struct {
    double minimum, maximum;           /* maximum INFINITY: none */
    bool above_minimum, below_maximum; /* these themselves are excluded */
} cf_range;

typedef struct {
    const char *name;
    unsigned kinds; /* the cf_setting_kinds it may be, and flags as below */
    cf_setting default_value;
    bool required;              /* it has no default */
    const char *const *choices; /* of a string, ending in NULL; NULL: any string */
    const char *spec_role;      /* of specs: what they must be, e.g. "conditioner" */
    const cf_range *range;      /* of numbers; NULL: any */
    const char *doc;            /* one sentence or two, for docstrings */
} cf_option;

enum {
    CF_OPTIONAL = 1 << 16, /* may be none */
    CF_MATRIX = 1 << 17,   /* a list which Python may give as a list of rows of one length */
    CF_SQUARE = 1 << 18,   /* they must be as many as each has numbers */
};

typedef struct cf_spec_type {
    const char *name; /* as in Python: "Coupling" */
    const char *role; /* "layer", "transform", "scale", "conditioner", "embedding", "base", … */
    const char *doc;
    const cf_option *options;
    size_t option_count;
    cf_status (*check)(const cf_spec *spec); /* what involves several options; or NULL */
    const void *methods;                     /* of the role: cf_layer_methods, … */
} cf_spec_type;

/* A spec with every option at its default; to be set, then finished, then released. */
cf_status cf_spec_new(cf_spec **out, const cf_spec_type *type);

/* Sets one option to a copy of `setting`, as the functions in cflows.h do. */
cf_status cf_spec_set(cf_spec *spec, const char *name, const cf_setting *setting);

/* CF_INVALID unless the spec is finished: an unfinished one may still change, and must not become
 * part of anything. */
cf_status cf_spec_check_finished(const cf_spec *spec);

cf_spec *cf_spec_retain(const cf_spec *spec);

const cf_spec_type *cf_spec_type_of(const cf_spec *spec);

/* Whether both are of one type and have equal values of all options. */
bool cf_spec_equal(const cf_spec *a, const cf_spec *b);

/* What the option's numbers may be, in words: "from 0 to below 1"; "" if it has no range. */
enum { CF_RANGE_WORDS = 96 };
void cf_option_range(const cf_option *option, char words[CF_RANGE_WORDS]);

/* Turns ints into reals where only those are wanted, and -0 into 0 where there is a range: equal
 * numbers are to look the same. The setting owns its memory. */
cf_status cf_option_convert(const cf_option *option, cf_setting *setting);

/* CF_TYPE if the setting is of a kind that the option does not take, CF_INVALID if its numbers or
 * its string are others than may be. Specs are not looked at. */
cf_status cf_option_check(const cf_spec_type *type, const cf_option *option,
                          const cf_setting *setting);

/* The value of an option that exists. */
const cf_setting *cf_spec_get(const cf_spec *spec, const char *name);
int64_t cf_spec_int(const cf_spec *spec, const char *name); /* bool or int */
double cf_spec_real(const cf_spec *spec, const char *name);
const char *cf_spec_string(const cf_spec *spec, const char *name); /* NULL for none */
cf_spec *cf_spec_spec(const cf_spec *spec, const char *name);      /* NULL for none */

/* For tables of options. */
#define CF_DEFAULT_BOOL(v)                                                                         \
    {                                                                                              \
        .kind = CF_OPTION_BOOL, .count = 1, .integers = (const int64_t[]) {                        \
            v                                                                                      \
        }                                                                                          \
    }
#define CF_DEFAULT_INT(v)                                                                          \
    {                                                                                              \
        .kind = CF_OPTION_INT, .count = 1, .integers = (const int64_t[]) {                         \
            v                                                                                      \
        }                                                                                          \
    }
#define CF_DEFAULT_REAL(v)                                                                         \
    {                                                                                              \
        .kind = CF_OPTION_REAL, .count = 1, .reals = (const double[]) {                            \
            v                                                                                      \
        }                                                                                          \
    }
#define CF_DEFAULT_STRING(v)                                                                       \
    { .kind = CF_OPTION_STRING, .count = 1, .string = v }
#define CF_DEFAULT_INTS(...)                                                                       \
    {                                                                                              \
        .kind = CF_OPTION_INTS, .count = sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), \
        .integers = (const int64_t[]) {                                                            \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
/* None of them. */
#define CF_DEFAULT_REALS                                                                           \
    { .kind = CF_OPTION_REALS }
#define CF_DEFAULT_SPECS                                                                           \
    { .kind = CF_OPTION_SPECS }
#define CF_DEFAULT_NONE                                                                            \
    { .kind = CF_NONE }

#endif
