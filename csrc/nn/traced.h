/* Functions traced from Python: as text in a spec and a file, as functions of a model. */
#ifndef CF_NN_TRACED_H
#define CF_NN_TRACED_H

#include "nn/instructions.h"

/* A model of declared parameters and networks; it lives in the model's arena. */
typedef struct {
    cf_model *model;
    cf_spec *spec; /* a Module, kept by the model */
    cf_declarations declared;
} cf_traced;

/* A new model of a Module, which it retains, with its functions. It is freed by
 * cf_model_free(traced->model). */
cf_status cf_traced_new(cf_traced **out, cf_spec *module, cf_dtype dtype, uint64_t seed,
                        size_t max_parameters);

/* Adds a function to a model: "function NAME INPUT SIZE … gives OUTPUT SIZE …; OP ARGUMENTS; …;
 * return VALUE …", sizes being as in declarations. It may refer to what is declared, if that is not
 * NULL, and call functions that the model has. */
cf_status cf_traced_add(cf_model *model, const cf_declarations *declared, const char *text,
                        const double *numbers, size_t count);

extern const cf_spec_type cf_module_type;

#endif
