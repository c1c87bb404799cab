/* What the ops of a convolution share: both forms of it (conv.c, winograd.c) and the gradient of
 * its weights have the same parameters. */
#ifndef CF_OPS_CONV_H
#define CF_OPS_CONV_H

#include "ops/ops.h"

typedef struct {
    cf_shape shape; /* of the image that the convolution reads */
    size_t kernel;  /* k, which is odd */
} cf_conv_params;

/* The channels of either form's output. */
size_t cf_conv_outputs(const cf_node *node);

/* The gradient rule of both forms. */
void cf_conv_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                  const bool *needed, cf_value *dx);

/* Whether winograd.c, which is for kernels of 3 x 3, should compute a convolution. */
bool cf_winograd_pays(cf_shape shape, size_t outputs, size_t kernel);

/* That convolution; weight and bias, which may be CF_NO_VALUE, are contiguous. */
cf_value cf_winograd(cf_builder *b, cf_value weight, cf_value bias, cf_value x, size_t outputs,
                     const cf_conv_params *params);

#endif
