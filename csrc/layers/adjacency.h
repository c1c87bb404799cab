/* The graph of an autoregressive layer: which features, and which columns of the context, each
 * feature may depend on. */
#ifndef CF_LAYERS_ADJACENCY_H
#define CF_LAYERS_ADJACENCY_H

#include "layers/permutation.h"

/* Lines of a layer's table of options. */
#define CF_ADJACENCY_OPTIONS                                                                       \
    {.name = "adjacency",                                                                          \
     .kinds = CF_OPTION_BOOLS | CF_OPTIONAL | CF_MATRIX,                                           \
     .default_value = CF_DEFAULT_NONE,                                                             \
     .doc =                                                                                        \
         "Which features (columns) each feature (row) may depend on: a directed acyclic graph, "   \
         "as of causes; the diagonal is not read. `order` follows from it, or agrees. None is "    \
         "all features before it."},                                                               \
    {                                                                                              \
        .name = "context_adjacency", .kinds = CF_OPTION_BOOLS | CF_OPTIONAL | CF_MATRIX,           \
        .default_value = CF_DEFAULT_NONE,                                                          \
        .doc = "Which numbers of the context (columns), of its embedding where there is one, "     \
               "each feature (row) may depend on. None is all."                                    \
    }

/* Fails unless `adjacency` is square and has no cycle, and the order is not random beside it. */
cf_status cf_adjacency_check(const cf_spec *spec);

/* Checks both options against the layer's sizes, and reads `order` as cf_permutation_bind does.
 * With an adjacency it is the one given, which must agree, or else that which takes, of the
 * features whose parents have all come, the first. */
cf_status cf_adjacency_bind(cf_permutation *out, cf_layer *layer, cf_binding *binding);

/* *out = whether the feature of a rank depends on an input, [features, context + features - 1]: the
 * context, then the features by rank; NULL if nothing but an order is given. */
cf_status cf_adjacency_reads(const unsigned char **out, const cf_layer *layer, cf_binding *binding,
                             const cf_permutation *order);

#endif
