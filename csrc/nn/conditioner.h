/* Conditioners: networks from the features that are kept, and the context, to the parameters of a
 * transform. */
#ifndef CF_NN_CONDITIONER_H
#define CF_NN_CONDITIONER_H

#include "engine/program.h"
#include "nn/binding.h"

typedef struct cf_conditioner cf_conditioner;

typedef struct {
    /* Declares the parameters and sets conditioner->state. The last layer starts at zero if
     * `zero_last`. */
    cf_status (*bind)(cf_conditioner *conditioner, cf_binding *binding, bool zero_last);
    /* Emits the outputs; x or context may be CF_NO_VALUE where it has no features. */
    cf_value (*emit)(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                     cf_value context);
} cf_conditioner_methods;

struct cf_conditioner {
    const cf_spec *spec;
    size_t inputs, context, outputs;
    void *state; /* of its type, in the flow's pile */
};

/* Binds `spec` to its sizes under the name `name`. With no input at all (inputs = context = 0) the
 * outputs are learned constants, one parameter `name`.constant. */
cf_status cf_conditioner_bind(cf_conditioner *out, const cf_spec *spec, cf_binding *binding,
                              const char *name, size_t inputs, size_t context, size_t outputs,
                              bool zero_last);

cf_value cf_conditioner_emit(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                             cf_value context);

extern const cf_spec_type cf_mlp_type, cf_residual_net_type;

#endif
