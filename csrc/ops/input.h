/* Which values are inputs of the program, as the caller gives them. */
#ifndef CF_OPS_INPUT_H
#define CF_OPS_INPUT_H

#include "ops/ops.h"

typedef struct {
    int slot, jitter; /* jitter: the slot of the widths of noise, or -1 */
    cf_value noise;   /* or CF_NO_VALUE */
} cf_plain_input;

/* Whether `value` is a whole input, and which: an op that reads it in its place has the numbers
 * before their rounding. */
bool cf_is_plain_input(const cf_builder *b, cf_value value, cf_plain_input *out);

/* Likewise the slot of a whole cotangent, whose padding is zero; -1: it is none. */
int cf_cotangent_slot(const cf_builder *b, cf_value value);

#endif
