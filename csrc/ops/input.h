/* What inputs and outputs share: fixed affine maps beside them, and how they go through feature
 * rows. */
#ifndef CF_OPS_INPUT_H
#define CF_OPS_INPUT_H

#include "ops/ops.h"

/* The features of a sample that are read or written at a time: samples lie far apart, for images
 * by powers of two, so that a cache line must be done with before the next one takes its place. */
enum { CF_LINE_FEATURES = 16 };

/* `input` with the inverse of the fixed affine map at `offset` applied while it is loaded;
 * CF_NO_VALUE if it is not a plain input. */
cf_value cf_affine_input(cf_builder *b, cf_value input, size_t offset);

/* The fixed affine map without its shift: x scale, or x / scale. */
cf_value cf_fixed_scale(cf_builder *b, cf_value x, size_t offset, bool inverse);

/* Whether `value` is the whole result of a fixed affine map u -> x; then *operand is its operand
 * and *offset its buffers'. */
bool cf_is_fixed_affine(const cf_builder *b, cf_value value, cf_value *operand, size_t *offset);

#endif
