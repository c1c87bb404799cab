/* What a convolution and the gradient of its weights keep in their attributes. */
#ifndef CF_OPS_CONV_H
#define CF_OPS_CONV_H

#include "ops/ops.h"

/* The image that the convolution reads. */
cf_shape cf_conv_shape(const cf_node *node);

size_t cf_conv_kernel(const cf_node *node);

#endif
