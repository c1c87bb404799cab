/* The embedding: from the context that a flow is given to the numbers that its layers and base see
 * as their context, learned with them: a vector for each category, then a network to fewer numbers.
 */
#ifndef CF_NN_EMBEDDING_H
#define CF_NN_EMBEDDING_H

#include "nn/conditioner.h"

typedef struct {
    cf_spec *spec;   /* NULL: there is none, and the context is seen as it is */
    size_t context;  /* features that it reads */
    size_t features; /* that are seen of it */
    size_t *vectors; /* parameters, by column: [categories, numbers]; of columns of categories */
    cf_conditioner network; /* if the spec has features */
} cf_embedding;

/* Binds `spec`, or NULL, whose hold stays with the caller, to `context` features. */
cf_status cf_embedding_bind(cf_embedding *out, cf_spec *spec, cf_binding *binding, size_t context);

/* What is seen of `context`; both are CF_NO_VALUE in a flow without. */
cf_value cf_embedding_emit(const cf_embedding *embedding, cf_builder *b, cf_value context);

#endif
