/* Conditioners: networks from the identity features and the context, to the parameters of a
 * transform. Plain ones, or masked (nn/dense.h): then group g of the outputs depends on the first g
 * features alone, or some of them, and on the context. */
#ifndef CF_NN_CONDITIONER_H
#define CF_NN_CONDITIONER_H

#include "base/shape.h"
#include "engine/program.h"
#include "model/binding.h"
#include "nn/dense.h"

typedef struct cf_conditioner cf_conditioner;

typedef struct {
    /* Declares the parameters and sets conditioner->state, dense_layers and last_bias. The last
     * layer starts at zero if `zero_last`. */
    cf_status (*bind)(cf_conditioner *conditioner, cf_binding *binding, bool zero_last);
    /* Emits the outputs of some groups; x are the features that these groups are the first to see,
     * and context is the context if group 0 is among them. Either may be CF_NO_VALUE. */
    cf_value (*emit)(const cf_conditioner *conditioner, cf_builder *b, cf_emission *emission,
                     cf_value x, cf_value context);
    bool convolutional; /* reads an image, conditioner->shape, and gives one as high and wide */
    /* Of a plain network, the outputs and the trace of their Jacobian with respect to the features,
     * of which there are as many; the trace stays CF_NO_VALUE if there is no way that is shorter
     * than a gradient for each feature. NULL: there is none. */
    cf_value (*divergence)(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                           cf_value context, cf_value *divergence);
} cf_conditioner_methods;

struct cf_conditioner {
    const cf_spec *spec;
    cf_shape shape;    /* of what it reads beside the context; of a convolutional network, an image
                          context included */
    size_t features;   /* how many numbers those are */
    cf_shape image;    /* that the outputs are of, or a vector */
    int64_t *squeezed; /* of a convolutional network with an image for context: the order in which
                          the channels behind those of x are read from it */
    const double *periods;                                  /* by feature, 0: none; or NULL */
    size_t inputs, context, outputs;                        /* numbers; inputs: of the features */
    cf_groups input_groups, feature_groups, context_groups; /* inputs: context and features */
    cf_groups output_groups;
    const cf_dependence *dependence; /* of a masked network, where it is more than an order */
    void *state;                     /* of its type, in the flow's arena */
    size_t dense_layers;             /* the network's */
    size_t last_bias; /* offset of the parameter that is added last, a number for so many outputs in
                         a row; SIZE_MAX: none is, such as before an activation */
};

typedef struct {
    cf_shape shape;   /* of the inputs */
    cf_shape context; /* of no features: there is none */
    cf_shape image;   /* that the outputs are of, so many numbers each feature; or a vector */
    size_t outputs;   /* features */
    size_t groups;    /* of outputs, of one size: inputs + 1, or 1 for a plain network */
    /* Of a masked network, whether a group depends on each number of the context, then each input,
     * [groups, context + inputs]; NULL: on the context and the inputs before it. */
    const unsigned char *reads;
    const double *periods; /* by input, 0 where there is none; NULL: none has one. Kept */
    const double *start;   /* by output: where they start if the last layer starts at zero, or as
                              near as the network can, one number a channel; NULL: 0 */
} cf_conditioner_sizes;

/* Binds `spec` to its sizes under the name `name`. With no input at all the
 * outputs are learned constants, one parameter `name`.constant. The columns of the first weight
 * are a plain network's features, then its context; a masked one's context, then its features. A
 * feature with a period is two columns, the cosine and the sine of 2 pi feature / period. A
 * convolutional network reads an image context as further channels, squeezed to the height and
 * width of its input. */
cf_status cf_conditioner_bind(cf_conditioner *out, const cf_spec *spec, cf_binding *binding,
                              const char *name, cf_conditioner_sizes sizes, bool zero_last);

bool cf_conditioner_is_convolutional(const cf_spec *spec);

/* All outputs. */
cf_value cf_conditioner_emit(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                             cf_value context);

/* Group `group` of a masked network's outputs, after those before it; x is feature group - 1, for
 * group 0 CF_NO_VALUE. `seen` has an entry for each dense layer, CF_NO_VALUE before group 0. */
cf_value cf_conditioner_emit_group(const cf_conditioner *conditioner, cf_builder *b, cf_value *seen,
                                   size_t group, cf_value x, cf_value context);

/* x and the context in the order of the first weight's columns. */
cf_value cf_conditioner_inputs(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                               cf_value context);

/* The groups of `units` hidden units. */
cf_status cf_conditioner_hidden(const cf_conditioner *conditioner, cf_binding *binding,
                                size_t units, cf_groups *out);

extern const cf_spec_type cf_mlp_type;

#endif
