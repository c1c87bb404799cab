/* A transform whose unconstrained parameters a conditioner gives: what couplings, autoregressive
 * layers and elementwise maps share. */
#ifndef CF_LAYERS_CONDITIONED_H
#define CF_LAYERS_CONDITIONED_H

#include "layers/layer.h"
#include "layers/positive_scale.h"
#include "layers/transform.h"
#include "nn/conditioner.h"
#include "nn/dense.h"

typedef struct {
    cf_transform transform;
    cf_features transformed;
    size_t conditioners; /* 2: one for scale and one for shift of an affine transform */
    cf_conditioner conditioner[2];
    cf_features inputs; /* of the conditioner */
    cf_shape in, out;   /* images that a convolutional one reads and gives */
    bool whole_image;   /* they are of the layer's shape, and all features lie there */
} cf_conditioned;

/* All features of the layer, listed in the flow's arena. */
cf_status cf_every_feature(cf_features *out, const cf_layer *layer, cf_binding *binding);

/* Reads the options below; the features `transformed` are transformed, and `inputs`, beside the
 * context, go into the conditioner. Both lists are kept by reference. With groups > 1 it is masked,
 * by `reads` (nn/conditioner.h) too, and gives all unconstrained parameters of one feature after
 * the other. A convolutional one reads
 * an image of the inputs' channels where `whole_channels`, else one of all channels, with zeros at
 * the other features. */
cf_status cf_conditioned_bind(cf_conditioned *out, cf_layer *layer, cf_binding *binding,
                              cf_features inputs, cf_features transformed, bool whole_channels,
                              size_t groups, const unsigned char *reads);

/* The features u transformed, or inverted; x, the inputs, goes into the conditioner. */
cf_value cf_conditioned_apply(const cf_conditioned *given, cf_builder *b, cf_value u, cf_value x,
                              cf_value context, bool inverse, cf_value *log_det);

/* Fails if the options below do not go together. */
cf_status cf_conditioned_check(const cf_spec *layer);

/* *out = the network of the option `conditioner`, or the MLP that `hidden` and `activation`
 * describe; to be released. */
cf_status cf_network_spec(const cf_spec *layer, cf_spec **out);

/* Fails if both are given. */
cf_status cf_network_check(const cf_spec *layer);

/* Lines of a layer's table of options: the short form of a conditioner. */
#define CF_MLP_OPTIONS                                                                             \
    {.name = "hidden",                                                                             \
     .kinds = CF_OPTION_INTS,                                                                      \
     .default_value = CF_DEFAULT_INTS(64, 64),                                                     \
     .doc = "Hidden widths of the MLP."},                                                          \
    {                                                                                              \
        .name = "activation", .kinds = CF_OPTION_STRING,                                           \
        .default_value = CF_DEFAULT_STRING("relu"), .choices = cf_activation_names,                \
        .doc = "Activation of the MLP."                                                            \
    }

#define CF_CONDITIONED_OPTIONS                                                                     \
    {.name = "transform",                                                                          \
     .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,                                                   \
     .default_value = CF_DEFAULT_STRING("affine"),                                                 \
     .choices = cf_transform_names,                                                                \
     .spec_role = "transform",                                                                     \
     .doc = "``'affine'`` (RealNVP), ``'additive'`` (NICE), ``'spline'`` (a `Spline` as it is "    \
            "by default), or a transform."},                                                       \
        {.name = "conditioner",                                                                    \
         .kinds = CF_OPTION_SPEC | CF_OPTION_SPECS | CF_OPTIONAL,                                  \
         .default_value = CF_DEFAULT_NONE,                                                         \
         .spec_role = "conditioner",                                                               \
         .doc = "The network, whose outputs are the transform's unconstrained parameters: of an "  \
                "affine one "                                                                      \
                "all scales, then all shifts, for which it may be a pair, and of `Autoregressive`" \
                ", which takes one network, those of each feature in turn. None is "               \
                "``MLP(hidden, activation)``."},                                                   \
        CF_MLP_OPTIONS, {                                                                          \
        .name = "scale", .kinds = CF_OPTION_STRING | CF_OPTION_SPEC,                               \
        .default_value = CF_DEFAULT_STRING("softclip"), .choices = cf_positive_scale_forms,        \
        .spec_role = "scale",                                                                      \
        .doc = "How the unconstrained scale of an affine transform becomes positive: a form of "   \
               "`Scale`, "                                                                         \
               "or a `Scale`. The default is ``exp(a / (1 + |a| / log(1000)))``, between 1/1000 "  \
               "and 1000."                                                                         \
    }

#endif
