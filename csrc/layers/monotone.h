/* Increasing functions of single features whose inverse is a root: what transforms by polynomials
 * and mixtures have in common. */
#ifndef CF_LAYERS_MONOTONE_H
#define CF_LAYERS_MONOTONE_H

#include "engine/program.h"

/* Emits y of x and log(dy/dx), feature by feature. It is called more than once, and must emit the
 * same formula each time. */
typedef void (*cf_increasing)(cf_builder *b, const void *context, cf_value x, cf_value *y,
                              cf_value *log_slope);

typedef struct {
    cf_increasing function;
    const void *context; /* context_size bytes, copied into the builder */
    size_t context_size;
    cf_value low, high, start; /* as those of a root (ops/root.h) */
    double noise;              /* as that of a root */
} cf_monotone;

/* y of x, or x of y if `solve`, with the sum of the logarithms of the derivatives. */
cf_value cf_monotone_apply(cf_builder *b, const cf_monotone *map, cf_value x, bool solve,
                           cf_value *log_det);

#endif
