/* Networks of single numbers, one a feature of a layer, each with weights of its own: from a number
 * x_f and a signal of some numbers, which a conditioner gives, through hidden layers of the same
 * widths for all, to one number.
 *
 * The weights of one linear layer are one parameter, [features, outputs, inputs], and its biases
 * [features, outputs]. The columns of the first are x, then the signal.
 */
#ifndef CF_NN_FEATURE_NETWORKS_H
#define CF_NN_FEATURE_NETWORKS_H

#include "engine/program.h"
#include "model/binding.h"

enum { CF_MAX_FEATURE_LAYERS = 9 }; /* linear ones */

typedef struct {
    size_t features, signal, layers;
    size_t units[CF_MAX_FEATURE_LAYERS]; /* outputs of each linear layer, the last one's 1 */
    size_t weight[CF_MAX_FEATURE_LAYERS], bias[CF_MAX_FEATURE_LAYERS];
    const int64_t *network; /* by feature of the layer: which network is its */
} cf_feature_networks;

/* Sets the sizes, and which network is whose; hidden widths are of an option of that name. */
cf_status cf_feature_networks_size(cf_feature_networks *out, const cf_spec *spec,
                                   cf_binding *binding, size_t count, const int64_t *feature,
                                   size_t signal);

/* Columns of the weights of linear layer k. */
size_t cf_feature_networks_inputs(const cf_feature_networks *networks, size_t k);

/* Declares linear layer k, "linear0.weight" and "linear0.bias", which start at the given numbers;
 * if weight is NULL, as a dense layer does, and the last one at 0 or at the bias. */
cf_status cf_feature_networks_bind(cf_feature_networks *networks, cf_binding *binding, size_t k,
                                   const double *weight, const double *bias);

/* Linear layer k of the networks of `count` features: W [count, outputs, inputs] and b [count,
 * outputs], unbatched. */
cf_value cf_feature_weight(const cf_feature_networks *networks, cf_builder *b, size_t k,
                           const int64_t *feature, size_t count);
cf_value cf_feature_bias(const cf_feature_networks *networks, cf_builder *b, size_t k,
                         const int64_t *feature, size_t count);

/* The first linear layer in two parts, whose sum it is: the column of the weight that x, a number a
 * feature, is multiplied by, and W_s s + b, of the signal, which `params` begin with, the first
 * number of all features first. */
cf_value cf_feature_column(cf_builder *b, cf_value weight, size_t count, size_t units);
cf_value cf_feature_signal(cf_builder *b, cf_value weight, cf_value bias, cf_value params,
                           size_t count, size_t units, size_t signal);

/* Lines of a table of options, and their check. */
#define CF_FEATURE_NETWORK_OPTIONS(min_width)                                                      \
    {.name = "signal",                                                                             \
     .kinds = CF_OPTION_INT,                                                                       \
     .default_value = CF_DEFAULT_INT(8),                                                           \
     .range = &(const cf_range){1.0, 4096.0, false, false},                                        \
     .doc = "How many numbers the conditioner gives each feature's network."},                     \
    {                                                                                              \
        .name = "hidden", .kinds = CF_OPTION_INTS, .default_value = CF_DEFAULT_INTS(32, 32),       \
        .range = &(const cf_range){min_width, 4096.0, false, false},                               \
        .doc = "Widths of the hidden layers of each feature's network, from 1 to 8 of them."       \
    }
cf_status cf_feature_networks_check(const cf_spec *spec);

#endif
