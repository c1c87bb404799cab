/* One convolution with its bias, and what stands between two. */
#ifndef CF_NN_CONV_LAYER_H
#define CF_NN_CONV_LAYER_H

#include "base/shape.h"
#include "engine/program.h"
#include "model/binding.h"
#include "nn/dense.h"

typedef struct {
    cf_shape in;
    size_t outputs, kernel;
    size_t weight, bias, gain;
    bool normalized;
} cf_conv_layer;

typedef struct {
    size_t outputs, kernel;
    bool normalized; /* w = gain v / |v|, an output each: weight normalisation */
    bool zero;       /* starts at zero */
} cf_conv_options;

/* Declares `name`.weight [outputs, channels, kernel, kernel], `name`.bias [outputs] and, if
 * normalized, `name`.gain [outputs]; number < 0: none in the name. The weights start as those of a
 * dense layer of as many inputs. */
cf_status cf_conv_bind(cf_conv_layer *out, cf_binding *binding, const char *name, long number,
                       cf_shape in, cf_conv_options options);

/* An image of `outputs` channels. */
cf_value cf_conv_emit(const cf_conv_layer *layer, cf_builder *b, cf_value x);

/* What a dense layer makes of the context, one number a channel, at every pixel. */
cf_value cf_context_emit(const cf_dense *dense, cf_builder *b, cf_emission *emission,
                         cf_value context, cf_shape shape);

/* Fails unless the option `name` is an odd number of pixels. */
cf_status cf_kernel_check(const cf_spec *network, const char *name, int64_t kernel);

/* The same for a number of channels. */
cf_status cf_channels_check(const cf_spec *network, const char *name, int64_t channels);

#endif
