/* Layer normalization of hidden units (Ba et al. 2016, arXiv:1607.06450, equation 4):
 * gain * (h - mean(h)) / sqrt(var(h) + 1e-5) + bias, mean and variance over the units of a sample.
 */
#ifndef CF_NN_LAYER_NORM_H
#define CF_NN_LAYER_NORM_H

#include "nn/conditioner.h"

typedef struct {
    size_t units; /* 0: there is none */
    size_t gain, bias;
} cf_layer_norm;

/* Declares `name`.gain, which starts at 1, and `name`.bias, at 0, if the network's option
 * `normalization` is 'layer'. Fails if the network is masked: every unit would read all others. */
cf_status cf_layer_norm_bind(cf_layer_norm *out, const cf_conditioner *conditioner,
                             cf_binding *binding, const char *name, long number, size_t units);

/* h itself, if there is none. */
cf_value cf_layer_norm_emit(const cf_layer_norm *norm, cf_builder *b, cf_value h);

bool cf_has_layer_norm(const cf_spec *network);

extern const char *const cf_layer_norm_names[];

/* A line of a network's table of options. */
#define CF_LAYER_NORM_OPTION                                                                       \
    {                                                                                              \
        .name = "normalization", .kinds = CF_OPTION_STRING,                                        \
        .default_value = CF_DEFAULT_STRING("none"), .choices = cf_layer_norm_names,                \
        .doc =                                                                                     \
            "``'layer'``: before each activation, ``gain * (h - mean(h)) / sqrt(var(h) + 1e-5) "   \
            "+ bias`` with mean and variance over the units (Ba et al. 2016, "                     \
            "arXiv:1607.06450); not of masked networks."                                           \
    }

#endif
