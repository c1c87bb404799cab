/* One dense layer, W x + bias, and the activations that stand between two. */
#ifndef CF_NN_DENSE_H
#define CF_NN_DENSE_H

#include "engine/program.h"
#include "nn/binding.h"

typedef struct {
    size_t inputs, outputs, weight, bias;
} cf_dense;

/* Declares `name`.weight [outputs, inputs] and `name`.bias [outputs]; number < 0: none in the name.
 * The weights start uniform on +-1.5/sqrt(inputs), the bias on +-1/sqrt(inputs), or both at zero.
 */
cf_status cf_dense_bind(cf_dense *out, cf_binding *binding, const char *name, long number,
                        size_t inputs, size_t outputs, bool zero);

cf_value cf_dense_emit(const cf_dense *dense, cf_builder *b, cf_value x);

/* The names that options called "activation" take, ending in NULL. */
extern const char *const cf_activation_names[];

/* The activation of that name. */
cf_value cf_activation(cf_builder *b, const char *name, cf_value x);

#endif
