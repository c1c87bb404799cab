/* What functions written in Python may refer to: named parameters and networks. */
#ifndef CF_NN_DECLARATIONS_H
#define CF_NN_DECLARATIONS_H

#include "nn/conditioner.h"
#include "nn/words.h"

/* "parameter NAME SIZE", "parameter NAME SIZE uniform" and "network NAME INPUTS OUTPUTS", separated
 * by semicolons, each numbered in its order. Inputs and outputs are so many features or the shape
 * of an image, "CHANNELSxHEIGHTxWIDTH". */
typedef struct {
    char name[CF_MAX_NAME];
    bool network;
    bool uniform;             /* a parameter that starts at random, not at given numbers */
    size_t size;              /* of a parameter, or of a network's outputs */
    size_t offset;            /* of a parameter, in the slab */
    cf_shape inputs, outputs; /* of a network */
    cf_conditioner conditioner;
} cf_declared;

typedef struct {
    cf_declared *parameter, *network;
    size_t parameters, networks;
} cf_declarations;

/* Reads such a size: so many features, or the shape of an image. */
bool cf_read_shape(const char **text, cf_shape *out);

/* Lines of a spec's table of options: what cf_declarations_bind reads, and the numbers that its
 * instructions refer to. */
#define CF_DECLARATION_OPTIONS                                                                     \
    {.name = "declarations",                                                                       \
     .kinds = CF_OPTION_STRING,                                                                    \
     .default_value = CF_DEFAULT_STRING(""),                                                       \
     .doc = "The parameters and networks that they refer to."},                                    \
        {.name = "numbers",                                                                        \
         .kinds = CF_OPTION_REALS,                                                                 \
         .default_value = CF_DEFAULT_REALS,                                                        \
         .doc = "The numbers that they refer to."},                                                \
        {.name = "starts",                                                                         \
         .kinds = CF_OPTION_REALS,                                                                 \
         .default_value = CF_DEFAULT_REALS,                                                        \
         .doc = "Where the parameters start, one after the other; of a uniform one, the bound "    \
                "within which it is drawn."},                                                      \
        {.name = "networks",                                                                       \
         .kinds = CF_OPTION_SPECS,                                                                 \
         .default_value = CF_DEFAULT_SPECS,                                                        \
         .spec_role = "conditioner",                                                               \
         .doc = "The networks, in the order of their declarations."},                              \
    {                                                                                              \
        .name = "zero_last", .kinds = CF_OPTION_BOOL, .default_value = CF_DEFAULT_BOOL(0),         \
        .doc = "Whether their last layers start at zero."                                          \
    }

/* Reads the options "declarations", "starts", "networks" and "zero_last" of a spec, and declares
 * what they say. */
cf_status cf_declarations_bind(cf_declarations *out, const cf_spec *spec, cf_binding *binding);

#endif
